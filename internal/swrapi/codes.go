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

// codes is every code of the API reference.
var codes = map[code]meaning{
	noCredential:       {401, "The request has neither a token nor a signature: log in."},
	badCredential:      {401, "The token or the signature is not valid: get a new token, or check key and clock."},
	notYours:           {403, "This belongs to another account."},
	notAllowed:         {403, "You may not do this: ask a manager of the organization for the right."},
	orgUnknown:         {404, "The organization does not exist: create it first."},
	orgExists:          {409, "An organization of this name exists already: choose another name."},
	badOrgName:         {400, "The name of the organization is invalid."},
	orgQuota:           {400, "The account has as many organizations as it may have: delete one, or have the quota raised."},
	orgNotEmpty:        {406, "The organization still has repositories: delete these first."},
	repoUnknown:        {404, "The repository does not exist."},
	repoExists:         {409, "This exists already."},
	badRepoName:        {400, "The name of the repository is invalid."},
	repoNotEmpty:       {406, "The repository still has images: delete these first."},
	repoQuota:          {400, "The account has as many repositories as it may have: delete one, or have the quota raised."},
	tagQuota:           {400, "The repository has as many tags as it may have: delete some, or have the quota raised."},
	tagUnknown:         {404, "The tag does not exist."},
	layerUnknown:       {404, "The layer does not exist."},
	descriptionTooLong: {413, "The description is too long: shorten it."},
	orgGrantExists:     {409, "The user has a right on the organization already: change it instead."},
	orgGrantUnknown:    {404, "The user has no right on the organization."},
	repoGrantExists:    {409, "This right exists already: change it instead."},
	repoGrantUnknown:   {404, "There is no such right on the repository."},
	badOrgRight:        {400, "A right on an organization is 1, 3 or 7."},
	badRepoRight:       {400, "A right on a repository is 1, 3 or 7; a share permits read."},
	badUser:            {400, "There is no such user in the account."},
	badAccount:         {400, "There is no such account."},
	resourceUnknown:    {404, "There is no such rule on the repository."},
	badParameter:       {400, "A parameter has a value that is not allowed."},
	badBody:            {400, "The body is not the JSON that is expected here."},
	badPublic:          {400, "is_public is true or false."},
	missingParameter:   {400, "A mandatory parameter is missing."},
	badQuery:           {400, "A parameter of the query is invalid."},
	badFilter:          {400, "The filter is malformed: key::value pairs joined by |."},
	bodyTooLarge:       {413, "The body is too large."},
	unknownURL:         {404, "Nothing is served at this address."},
	methodNotAllowed:   {405, "This address does not answer the method."},
	tooMany:            {429, "Too many requests: wait and try again."},
	busy:               {409, "Something else is being done to this: try again."},
	storageFull:        {507, "There is no storage left: free some, or ask the operator for more."},
	internalError:      {500, "Something went wrong in the registry."},

	badDigest:        {400, "A digest does not match its content."},
	badImageFormat:   {400, "The archive is none of docker save or of the OCI image layout."},
	layerMissing:     {400, "A layer that the image names is not in the archive."},
	sessionUnknown:   {404, "There is no such upload: start a new one."},
	badSession:       {400, "The id of the upload is malformed."},
	archiveTooLarge:  {413, "The archive is too large."},
	namesDiffer:      {400, "The names of the images in the archive differ from the target."},
	noRepoTags:       {400, "An image of the archive has no name and tag."},
	configMissing:    {400, "The configuration that the image names is not in the archive."},
	noManifest:       {400, "The archive has no manifest.json and no index.json."},
	manifestUnparsed: {400, "The manifest of the archive cannot be read."},
}
