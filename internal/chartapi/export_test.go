package chartapi

// StatusOf is the answer to a fault.
var StatusOf = statusOf
