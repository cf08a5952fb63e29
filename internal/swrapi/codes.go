package swrapi

// A code is what clients read from an error, errorCode.
type code string

// The codes that are sent.
const (
	noCredential       code = "SVCSTG.S2I.4019000"
	badCredential      code = "SVCSTG.SWR.4010000"
	notYours           code = "SVCSTG.SWR.4039001"
	notAllowed         code = "SVCSTG.SWR.4039002"
	orgUnknown         code = "SVCSTG.SWR.4040058"
	orgExists          code = "SVCSTG.SWR.4090060"
	badOrgName         code = "SVCSTG.SWR.4001028"
	orgQuota           code = "SVCSTG.SWR.4000097"
	orgNotEmpty        code = "SVCSTG.SWR.4060053"
	repoUnknown        code = "SVCSTG.SWR.4040010"
	repoExists         code = "SVCSTG.SWR.4090006"
	badRepoName        code = "SVCSTG.SWR.4001029"
	repoNotEmpty       code = "SVCSTG.SWR.4060012"
	repoQuota          code = "SVCSTG.SWR.4000098"
	tagQuota           code = "SVCSTG.SWR.4000099"
	tagUnknown         code = "SVCSTG.SWR.4040048"
	layerUnknown       code = "SVCSTG.SWR.4041051"
	descriptionTooLong code = "SVCSTG.SWR.4131012"
	orgGrantExists     code = "SVCSTG.SWR.4090076"
	orgGrantUnknown    code = "SVCSTG.SWR.4040078"
	repoGrantExists    code = "SVCSTG.SWR.4090089"
	repoGrantUnknown   code = "SVCSTG.SWR.4040091"
	badOrgRight        code = "SVCSTG.SWR.4001065"
	badRepoRight       code = "SVCSTG.SWR.4001066"
	badUser            code = "SVCSTG.SWR.4001067"
	badAccount         code = "SVCSTG.SWR.4001041"
	resourceUnknown    code = "SVCSTG.SWR.4040113"
	badParameter       code = "SVCSTG.SWR.4000014"
	badBody            code = "SVCSTG.SWR.4001018"
	badPublic          code = "SVCSTG.SWR.4001009"
	missingParameter   code = "SVCSTG.SWR.4001014"
	badQuery           code = "SVCSTG.SWR.4001025"
	badFilter          code = "SVCSTG.SWR.4001035"
	bodyTooLarge       code = "SVCSTG.SWR.4131001"
	unknownURL         code = "SVCSTG.SWR.4040083"
	methodNotAllowed   code = "SVCSTG.SWR.4031033"
	tooMany            code = "SVCSTG.SWR.4031042"
	busy               code = "SVCSTG.SWR.4090023"
	storageFull        code = "SVCSTG.SWR.5070070"
	internalError      code = "SVCSTG.SWR.5000007"

	// Of uploads of image archives.
	badDigest        code = "SVCSTG.SWR.4000013"
	badImageFormat   code = "SVCSTG.SWR.4000069"
	layerMissing     code = "SVCSTG.SWR.4000065"
	sessionUnknown   code = "SVCSTG.SWR.4040043"
	badSession       code = "SVCSTG.SWR.4000039"
	archiveTooLarge  code = "SVCSTG.SWR.4130025"
	namesDiffer      code = "SVCSTG.SWR.4000029"
	noRepoTags       code = "SVCSTG.SWR.4000064"
	configMissing    code = "SVCSTG.SWR.4000066"
	noManifest       code = "SVCSTG.SWR.4000067"
	manifestUnparsed code = "SVCSTG.SWR.4000068"
)

// A meaning is a code's status, and what it tells and asks to do where no
// better message is at hand.
type meaning struct {
	status  int
	message string
}

// codes are those that are sent; reference_codes.go has the others of the API
// reference.
var codes = map[code]meaning{
	noCredential:       {401, "The request has neither a token nor a signature: log in."},
	badCredential:      {401, "The token or the signature is not valid: get a new token, or check key and clock."},
	notYours:           {403, "This belongs to another account: ask for it to be shared with yours."},
	notAllowed:         {403, "You may not do this: ask a manager of the organization for the right."},
	orgUnknown:         {404, "The organization does not exist: create it first."},
	orgExists:          {409, "An organization of this name exists already: choose another name."},
	badOrgName:         {400, "The name of the organization is invalid: lower-case letters, digits and single separators, beginning with a letter, 64 at most."},
	orgQuota:           {400, "The account has as many organizations as it may have: delete one, or have the quota raised."},
	orgNotEmpty:        {406, "The organization still has repositories: delete these first."},
	repoUnknown:        {404, "The repository does not exist: create it, or push an image to it."},
	repoExists:         {409, "This exists already: choose another name, or change what is there."},
	badRepoName:        {400, "The name of the repository is invalid: lower-case letters, digits and single separators, 128 at most."},
	repoNotEmpty:       {406, "The repository still has images: delete these first."},
	repoQuota:          {400, "The account has as many repositories as it may have: delete one, or have the quota raised."},
	tagQuota:           {400, "The repository has as many tags as it may have: delete some, or have the quota raised."},
	tagUnknown:         {404, "The tag does not exist: look at the list of tags."},
	layerUnknown:       {404, "The layer does not exist: push it again."},
	descriptionTooLong: {413, "The description is too long: shorten it."},
	orgGrantExists:     {409, "The user has a right on the organization already: change it instead."},
	orgGrantUnknown:    {404, "The user has no right on the organization: grant one instead of changing it."},
	repoGrantExists:    {409, "This right exists already: change it instead."},
	repoGrantUnknown:   {404, "There is no such right on the repository: grant one instead of changing it."},
	badOrgRight:        {400, "A right on an organization is 1, 3 or 7."},
	badRepoRight:       {400, "A right on a repository is 1, 3 or 7; a share permits read."},
	badUser:            {400, "There is no such user in the account: take id and name from the list of users."},
	badAccount:         {400, "There is no such account: check its name."},
	resourceUnknown:    {404, "There is no such rule on the repository: look at the list of them."},
	badParameter:       {400, "A parameter has a value that is not allowed: look at the description of the operation."},
	badBody:            {400, "The body is not the JSON that is expected here: look at the description of the operation."},
	badPublic:          {400, "is_public is true or false, without quotes."},
	missingParameter:   {400, "A mandatory parameter is missing: look at the description of the operation."},
	badQuery:           {400, "A parameter of the query is invalid: look at the description of the operation."},
	badFilter:          {400, "The filter is malformed: it is made of key::value pairs joined by |."},
	bodyTooLarge:       {413, "The body is too large: 1 MiB at most."},
	unknownURL:         {404, "Nothing is served at this address: look at the description of the API."},
	methodNotAllowed:   {405, "This address does not answer the method: the header Allow names those that it does."},
	tooMany:            {429, "Too many requests: wait and try again."},
	busy:               {409, "Something else is being done to this: try again."},
	storageFull:        {507, "There is no storage left: free some, or ask the operator for more."},
	internalError:      {500, "Something went wrong in the registry." + retry},

	badDigest:        {400, "A digest does not match its content: make the archive again."},
	badImageFormat:   {400, "The archive is neither one of docker save nor an OCI image layout: make one of these."},
	layerMissing:     {400, "A layer that the image names is missing: add it."},
	sessionUnknown:   {404, "There is no such upload: start a new one."},
	badSession:       {400, "The id of the upload is malformed: take it from the answer that opened the upload."},
	archiveTooLarge:  {413, "The archive is too large: push the image instead."},
	namesDiffer:      {400, "The names of the images in the archive differ from the target: save the image under one name."},
	noRepoTags:       {400, "An image of the archive has no name and tag: save it by its name."},
	configMissing:    {400, "The configuration that the image names is not in the archive: make the archive again."},
	noManifest:       {400, "The archive has no manifest.json and no index.json: make one by docker save."},
	manifestUnparsed: {400, "The manifest of the archive cannot be read: make the archive again."},
}
