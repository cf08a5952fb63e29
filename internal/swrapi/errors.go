package swrapi

import (
	"cmp"
	"errors"
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// A subject is what a route is about: the same fault has other codes for an
// organization than for a repository.
type subject uint8

const (
	anything subject = iota
	anOrg
	aRepo
	aTag
	orgGrant
	repoGrant
	aShare
	aTrigger
	aCluster
	aRetention
	aSync
	aLogin
	anArchive
	aCredential
)

// wire is how a fault looks from outside.
type wire struct {
	status int
	code   code
}

// faults is the table from fault codes to answers where the subject does not
// matter.
var faults = map[fault.Code]wire{
	fault.Invalid:          {http.StatusBadRequest, badParameter},
	fault.Missing:          {http.StatusBadRequest, missingParameter},
	fault.NameInvalid:      {http.StatusBadRequest, badRepoName},
	fault.TagInvalid:       {http.StatusBadRequest, badParameter},
	fault.DigestInvalid:    {http.StatusBadRequest, badDigest},
	fault.ManifestInvalid:  {http.StatusBadRequest, badImageFormat},
	fault.SizeInvalid:      {http.StatusBadRequest, badBody},
	fault.TooLarge:         {http.StatusRequestEntityTooLarge, bodyTooLarge},
	fault.TooLong:          {http.StatusRequestEntityTooLarge, descriptionTooLong},
	fault.RangeInvalid:     {http.StatusRequestedRangeNotSatisfiable, badParameter},
	fault.UploadInvalid:    {http.StatusBadRequest, badParameter},
	fault.PageInvalid:      {http.StatusBadRequest, badQuery},
	fault.FilterInvalid:    {http.StatusBadRequest, badFilter},
	fault.RightInvalid:     {http.StatusBadRequest, badRepoRight},
	fault.Unsupported:      {http.StatusMethodNotAllowed, methodNotAllowed},
	fault.Unauthorized:     {http.StatusUnauthorized, badCredential},
	fault.Denied:           {http.StatusForbidden, notAllowed},
	fault.Foreign:          {http.StatusForbidden, notYours},
	fault.Reserved:         {http.StatusBadRequest, badOrgName},
	fault.AccountUnknown:   {http.StatusBadRequest, badAccount},
	fault.UserUnknown:      {http.StatusBadRequest, badUser},
	fault.KeyUnknown:       {http.StatusBadRequest, badParameter},
	fault.ProjectUnknown:   {http.StatusBadRequest, badParameter},
	fault.OrgUnknown:       {http.StatusNotFound, orgUnknown},
	fault.RepoUnknown:      {http.StatusNotFound, repoUnknown},
	fault.TagUnknown:       {http.StatusNotFound, tagUnknown},
	fault.ManifestUnknown:  {http.StatusNotFound, tagUnknown},
	fault.BlobUnknown:      {http.StatusNotFound, layerUnknown},
	fault.ReferenceUnknown: {http.StatusBadRequest, layerMissing},
	fault.UploadUnknown:    {http.StatusNotFound, sessionUnknown},
	fault.GrantUnknown:     {http.StatusNotFound, repoGrantUnknown},
	fault.ShareUnknown:     {http.StatusNotFound, repoGrantUnknown},
	fault.RuleUnknown:      {http.StatusNotFound, resourceUnknown},
	fault.JobUnknown:       {http.StatusNotFound, resourceUnknown},
	fault.Exists:           {http.StatusConflict, repoExists},
	fault.NotEmpty:         {http.StatusNotAcceptable, repoNotEmpty},
	fault.InUse:            {http.StatusConflict, busy},
	fault.Quota:            {http.StatusBadRequest, orgQuota},
	fault.TooMany:          {http.StatusTooManyRequests, tooMany},
	fault.Full:             {http.StatusInsufficientStorage, storageFull},
	fault.Unavailable:      {http.StatusServiceUnavailable, internalError},
	fault.Timeout:          {http.StatusRequestTimeout, badBody},
	fault.Internal:         {http.StatusInternalServerError, internalError},
}

// particular is where the subject matters.
var particular = map[subject]map[fault.Code]wire{
	anOrg: {
		fault.NameInvalid: {http.StatusBadRequest, badOrgName},
		fault.Exists:      {http.StatusConflict, orgExists},
		fault.NotEmpty:    {http.StatusNotAcceptable, orgNotEmpty},
	},
	orgGrant: {
		fault.RightInvalid: {http.StatusBadRequest, badOrgRight},
		fault.Exists:       {http.StatusConflict, orgGrantExists},
		fault.GrantUnknown: {http.StatusNotFound, orgGrantUnknown},
	},
	repoGrant: {fault.Exists: {http.StatusConflict, repoGrantExists}},
	aShare:    {fault.Exists: {http.StatusConflict, repoGrantExists}, fault.Quota: {http.StatusBadRequest, badParameter}},
	aTrigger:  {fault.Exists: {http.StatusBadRequest, badParameter}},
	aRetention: {
		fault.Exists: {http.StatusBadRequest, badParameter},
	},
	aCredential: {
		fault.KeyUnknown: {http.StatusNotFound, resourceUnknown},
		fault.Quota:      {http.StatusBadRequest, badParameter},
	},
	anArchive: {
		fault.UploadInvalid: {http.StatusConflict, busy},
	},
}

// quotas tells by a fault's detail which quota is reached.
var quotas = map[any]code{"namespace": orgQuota, "repo": repoQuota, "tag": tagQuota}

// defects tells by a fault's detail what an archive lacks.
var defects = map[registry.ArchiveDefect]code{
	registry.ArchiveNoNames:       noRepoTags,
	registry.ArchiveNamesDiffer:   namesDiffer,
	registry.ArchiveLayerMissing:  layerMissing,
	registry.ArchiveConfigMissing: configMissing,
	registry.ArchiveNoManifest:    noManifest,
	registry.ArchiveUnparsable:    manifestUnparsed,
	registry.ArchiveBadFormat:     badImageFormat,
	registry.ArchiveTooBig:        archiveTooLarge,
}

// answerOf finds the answer to a fault on a route about s.
func answerOf(s subject, f *fault.Error) wire {
	w, ok := particular[s][f.Code]
	if !ok {
		w = faults[f.Code]
	}
	if f.Code == fault.Quota {
		if c, ok := quotas[f.Detail]; ok {
			w.code = c
		}
	}
	if d, ok := f.Detail.(registry.ArchiveDefect); ok {
		w.code = defects[d]
	}
	return w
}

// A wireError is an error that is clear from the request alone and has its
// code here.
type wireError struct {
	code code
	msg  string
	err  error
}

func (e *wireError) Error() string { return string(e.code) + ": " + e.msg }
func (e *wireError) Unwrap() error { return e.err }

func problemf(c code, msg string) error { return &wireError{code: c, msg: msg} }

// problem gives a fault of the core the code c.
func problem(c code, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return &wireError{code: c, msg: f.Msg, err: err}
	}
	return err
}

var errNoCredential = problemf(noCredential, "Log in: the request has neither a token nor a signature.")

// A listed error is one of the list that is the default form of all errors.
type listed struct {
	Code    string `json:"errorCode"`
	Message string `json:"errorMessage"`
	Detail  string `json:"detail"`
}

// object is the other form, which holds the first under every name that
// clients look for.
type object struct {
	Code     string   `json:"error_code"`
	Msg      string   `json:"error_msg"`
	Code2    string   `json:"errorCode"`
	Message2 string   `json:"errorMessage"`
	Errors   []listed `json:"errors"`
	Request  string   `json:"request_id,omitempty"`
}

func statusOf(c fault.Code) int { return faults[c].status }

// fail renders an error.
func (a *API) fail(c *call, err error) {
	w, msg, ok := c.explain(err)
	if !ok {
		return
	}
	e := listed{Code: string(w.code), Message: msg}
	if a.object {
		web.WriteJSON(c.w, w.status, object{e.Code, e.Message, e.Code, e.Message, []listed{e}, web.Of(c.w).RequestID()})
		return
	}
	web.WriteJSON(c.w, w.status, []listed{e})
}

// explain finds the answer to an error and its message, and sets the headers
// that belong to it. It reports false where the client is gone.
func (c *call) explain(err error) (w wire, msg string, ok bool) {
	var we *wireError
	if errors.As(err, &we) {
		web.Of(c.w).Failed(err)
		return wire{codes[we.code].status, we.code}, we.msg, true
	}
	f := web.Failure(c.w, c.r, err, statusOf)
	if f == nil {
		return wire{}, "", false
	}
	w, msg = c.words(f)
	return w, msg, true
}

// words is the answer to a fault on this route, and its message.
func (c *call) words(f *fault.Error) (wire, string) {
	about := anything
	if c.rt != nil {
		about = c.rt.about
	}
	w := answerOf(about, f)
	return w, cmp.Or(f.Msg, codes[w.code].message)
}
