package ociapi

import (
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/web"
)

// wire is how a fault looks from outside.
type wire struct {
	status int
	code   string // distribution-spec, Error Codes; for 5xx docker's own
}

// faults is the one table from fault codes to answers. The spec closes the
// list of codes for 4xx, so several faults share the nearest.
var faults = map[fault.Code]wire{
	fault.Invalid:          {http.StatusBadRequest, "UNSUPPORTED"},
	fault.Missing:          {http.StatusBadRequest, "UNSUPPORTED"},
	fault.NameInvalid:      {http.StatusBadRequest, "NAME_INVALID"},
	fault.TagInvalid:       {http.StatusBadRequest, "TAG_INVALID"},
	fault.DigestInvalid:    {http.StatusBadRequest, "DIGEST_INVALID"},
	fault.ManifestInvalid:  {http.StatusBadRequest, "MANIFEST_INVALID"},
	fault.SizeInvalid:      {http.StatusBadRequest, "SIZE_INVALID"},
	fault.TooLarge:         {http.StatusRequestEntityTooLarge, "MANIFEST_INVALID"}, // of the bodies in the spec only manifests are bounded
	fault.TooLong:          {http.StatusRequestEntityTooLarge, "SIZE_INVALID"},
	fault.RangeInvalid:     {http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID"},
	fault.UploadInvalid:    {http.StatusBadRequest, "BLOB_UPLOAD_INVALID"},
	fault.PageInvalid:      {http.StatusBadRequest, "UNSUPPORTED"},
	fault.FilterInvalid:    {http.StatusBadRequest, "UNSUPPORTED"},
	fault.RightInvalid:     {http.StatusBadRequest, "UNSUPPORTED"},
	fault.Unsupported:      {http.StatusBadRequest, "UNSUPPORTED"},
	fault.Unauthorized:     {http.StatusUnauthorized, "UNAUTHORIZED"},
	fault.Denied:           {http.StatusForbidden, "DENIED"},
	fault.Foreign:          {http.StatusForbidden, "DENIED"},
	fault.Reserved:         {http.StatusNotFound, "NAME_UNKNOWN"}, // docker repeats a push with an invalid name for a minute
	fault.AccountUnknown:   {http.StatusNotFound, "NAME_UNKNOWN"},
	fault.UserUnknown:      {http.StatusNotFound, "NAME_UNKNOWN"},
	fault.KeyUnknown:       {http.StatusNotFound, "NAME_UNKNOWN"},
	fault.ProjectUnknown:   {http.StatusNotFound, "NAME_UNKNOWN"},
	fault.OrgUnknown:       {http.StatusNotFound, "NAME_UNKNOWN"},
	fault.RepoUnknown:      {http.StatusNotFound, "NAME_UNKNOWN"},
	fault.TagUnknown:       {http.StatusNotFound, "MANIFEST_UNKNOWN"},
	fault.ManifestUnknown:  {http.StatusNotFound, "MANIFEST_UNKNOWN"},
	fault.BlobUnknown:      {http.StatusNotFound, "BLOB_UNKNOWN"},
	fault.ReferenceUnknown: {http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN"},
	fault.UploadUnknown:    {http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"},
	fault.GrantUnknown:     {http.StatusNotFound, "NAME_UNKNOWN"},
	fault.ShareUnknown:     {http.StatusNotFound, "NAME_UNKNOWN"},
	fault.RuleUnknown:      {http.StatusNotFound, "NAME_UNKNOWN"},
	fault.JobUnknown:       {http.StatusNotFound, "NAME_UNKNOWN"},
	fault.Exists:           {http.StatusConflict, "DENIED"},
	fault.NotEmpty:         {http.StatusConflict, "DENIED"},
	fault.InUse:            {http.StatusMethodNotAllowed, "UNSUPPORTED"}, // distribution-spec, Deleting Blobs: refused deletion is 400 or 405
	fault.Quota:            {http.StatusForbidden, "DENIED"},
	fault.TooMany:          {http.StatusTooManyRequests, "TOOMANYREQUESTS"},
	fault.Full:             {http.StatusInsufficientStorage, "UNAVAILABLE"},
	fault.Unavailable:      {http.StatusServiceUnavailable, "UNAVAILABLE"},
	fault.Timeout:          {http.StatusRequestTimeout, "BLOB_UPLOAD_INVALID"},
	fault.Internal:         {http.StatusInternalServerError, "UNKNOWN"},
}

// wireError is one error of the envelope (distribution-spec, Error Codes).
type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

type envelope struct {
	Errors []wireError `json:"errors"`
}

func statusOf(c fault.Code) int { return faults[c].status }

// fail renders an error.
func (a *API) fail(c *call, err error) {
	f := web.Failure(c.w, c.r, err, statusOf)
	if f == nil {
		return
	}
	h := c.w.Header()
	status, code := faults[f.Code].status, faults[f.Code].code
	switch f.Code {
	case fault.TooLarge:
		if c.basic {
			code = "SIZE_INVALID" // the token endpoint takes forms, no manifests
		}
	case fault.Unauthorized:
		h["Www-Authenticate"] = []string{a.challenge(c)}
	case fault.Unsupported:
		if _, ok := f.Detail.(string); ok {
			// The path is known and the method is not one of its.
			status = http.StatusMethodNotAllowed
		}
	case fault.InUse:
		h["Allow"] = []string{"GET, HEAD"}
	}
	web.WriteJSON(c.w, status, envelope{[]wireError{{code, f.Msg, detail(f)}}})
}

// detail renders the documented details of faults, and no others.
func detail(f *fault.Error) any {
	switch f.Code {
	case fault.ReferenceUnknown:
		return map[string]any{"digest": f.Detail}
	case fault.RangeInvalid:
		if n, ok := f.Detail.(int64); ok {
			return map[string]any{"offset": n}
		}
	}
	return nil
}
