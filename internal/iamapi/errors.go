package iamapi

import (
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/web"
)

// wire is how a fault looks from outside.
type wire struct {
	status int
	code   string
}

// The codes that clients know, and two of our own for what these lack.
const (
	codeBody      = "IAM.0011" // a member has a wrong form
	codeMissing   = "IAM.0072"
	codeLogin     = "IAM.0001"
	codePassword  = "IAM.0062"
	codeExpired   = "IAM.0066"
	codeToken     = "IAM.0067"
	codeForbidden = "IAM.0002"
	codeDenied    = "IAM.0003" // the rights of the caller are not enough
	codeUnknown   = "IAM.0004"
	codeConflict  = "IAM.0005"
	codeBusy      = "IAM.0429"
	codeBroken    = "IAM.0500"
)

// faults is the one table from fault codes to answers. What only concerns
// images is in it since every code has an answer everywhere.
var faults = map[fault.Code]wire{
	fault.Invalid:          {http.StatusBadRequest, codeBody},
	fault.Missing:          {http.StatusBadRequest, codeMissing},
	fault.NameInvalid:      {http.StatusBadRequest, codeBody},
	fault.TagInvalid:       {http.StatusBadRequest, codeBody},
	fault.DigestInvalid:    {http.StatusBadRequest, codeBody},
	fault.ManifestInvalid:  {http.StatusBadRequest, codeBody},
	fault.SizeInvalid:      {http.StatusBadRequest, codeBody},
	fault.TooLarge:         {http.StatusRequestEntityTooLarge, codeBody},
	fault.TooLong:          {http.StatusBadRequest, codeBody},
	fault.RangeInvalid:     {http.StatusBadRequest, codeBody},
	fault.UploadInvalid:    {http.StatusBadRequest, codeBody},
	fault.PageInvalid:      {http.StatusBadRequest, codeBody},
	fault.FilterInvalid:    {http.StatusBadRequest, codeBody},
	fault.RightInvalid:     {http.StatusBadRequest, codeBody},
	fault.Unsupported:      {http.StatusBadRequest, codeBody}, // with the methods as Detail: 405
	fault.Unauthorized:     {http.StatusUnauthorized, codeLogin},
	fault.Denied:           {http.StatusForbidden, codeDenied},
	fault.Foreign:          {http.StatusForbidden, codeForbidden},
	fault.Reserved:         {http.StatusBadRequest, codeBody},
	fault.AccountUnknown:   {http.StatusNotFound, codeUnknown},
	fault.UserUnknown:      {http.StatusNotFound, codeUnknown},
	fault.KeyUnknown:       {http.StatusNotFound, codeUnknown},
	fault.ProjectUnknown:   {http.StatusNotFound, codeUnknown},
	fault.OrgUnknown:       {http.StatusNotFound, codeUnknown},
	fault.RepoUnknown:      {http.StatusNotFound, codeUnknown},
	fault.TagUnknown:       {http.StatusNotFound, codeUnknown},
	fault.ManifestUnknown:  {http.StatusNotFound, codeUnknown},
	fault.BlobUnknown:      {http.StatusNotFound, codeUnknown},
	fault.ReferenceUnknown: {http.StatusNotFound, codeUnknown},
	fault.UploadUnknown:    {http.StatusNotFound, codeUnknown},
	fault.GrantUnknown:     {http.StatusNotFound, codeUnknown},
	fault.ShareUnknown:     {http.StatusNotFound, codeUnknown},
	fault.RuleUnknown:      {http.StatusNotFound, codeUnknown},
	fault.JobUnknown:       {http.StatusNotFound, codeUnknown},
	fault.Exists:           {http.StatusConflict, codeConflict},
	fault.NotEmpty:         {http.StatusConflict, codeConflict},
	fault.InUse:            {http.StatusConflict, codeConflict},
	fault.Quota:            {http.StatusBadRequest, codeBody},
	fault.TooMany:          {http.StatusTooManyRequests, codeBusy},
	fault.Full:             {http.StatusInsufficientStorage, codeBroken},
	fault.Unavailable:      {http.StatusServiceUnavailable, codeBroken},
	fault.Timeout:          {http.StatusRequestTimeout, codeBody},
	fault.Internal:         {http.StatusInternalServerError, codeBroken},
}

// reasons are the codes of refusals that say more.
var reasons = map[iam.Reason]string{
	iam.WrongPassword: codePassword,
	iam.ExpiredToken:  codeExpired,
	iam.WrongToken:    codeToken,
	iam.WrongKey:      codeLogin,
	iam.Disabled:      codeForbidden,
}

// keyQuota is what clients look for when a user has two access keys.
const keyQuota = "akSkNumExceed"

var (
	errAnonymous = fault.New(fault.Unauthorized, "Log in: send a token in X-Auth-Token or sign the request by an access key.")
	errNoRoute   = fault.New(fault.AccountUnknown, "Nothing is served at this address.")
)

// errorBody is an error as Keystone puts it, and beside it the two members
// that other clients read.
type errorBody struct {
	Error struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Title   string `json:"title"`
	} `json:"error"`
	ErrorCode string `json:"error_code"`
	ErrorMsg  string `json:"error_msg"`
}

func statusOf(c fault.Code) int { return faults[c].status }

// fail renders an error.
func (a *API) fail(c *call, err error) {
	f := web.Failure(c.w, c.r, err, statusOf)
	if f == nil {
		return
	}
	status, code := faults[f.Code].status, faults[f.Code].code
	if by, ok := reasons[iam.ReasonOf(f)]; ok {
		code = by
	}
	switch f.Code {
	case fault.Unsupported:
		if _, ok := f.Detail.(string); ok {
			status = http.StatusMethodNotAllowed
		}
	case fault.Quota:
		f.Msg = keyQuota
	}
	var b errorBody
	b.Error.Code, b.Error.Message, b.Error.Title = status, f.Msg, http.StatusText(status)
	b.ErrorCode, b.ErrorMsg = code, f.Msg
	web.WriteJSON(c.w, status, b)
}
