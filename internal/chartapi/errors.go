package chartapi

import (
	"cmp"
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/web"
)

// statuses is the one table from fault codes to answers.
var statuses = map[fault.Code]int{
	fault.Invalid:          http.StatusBadRequest,
	fault.Missing:          http.StatusBadRequest,
	fault.NameInvalid:      http.StatusBadRequest,
	fault.TagInvalid:       http.StatusBadRequest,
	fault.DigestInvalid:    http.StatusBadRequest,
	fault.ManifestInvalid:  http.StatusBadRequest,
	fault.SizeInvalid:      http.StatusBadRequest,
	fault.TooLarge:         http.StatusRequestEntityTooLarge,
	fault.TooLong:          http.StatusRequestEntityTooLarge,
	fault.RangeInvalid:     http.StatusRequestedRangeNotSatisfiable,
	fault.UploadInvalid:    http.StatusBadRequest,
	fault.PageInvalid:      http.StatusBadRequest,
	fault.FilterInvalid:    http.StatusBadRequest,
	fault.RightInvalid:     http.StatusBadRequest,
	fault.Unsupported:      http.StatusMethodNotAllowed,
	fault.Unauthorized:     http.StatusUnauthorized,
	fault.Denied:           http.StatusForbidden,
	fault.Foreign:          http.StatusForbidden,
	fault.Reserved:         http.StatusBadRequest,
	fault.AccountUnknown:   http.StatusNotFound,
	fault.UserUnknown:      http.StatusNotFound,
	fault.KeyUnknown:       http.StatusNotFound,
	fault.ProjectUnknown:   http.StatusNotFound,
	fault.OrgUnknown:       http.StatusNotFound,
	fault.RepoUnknown:      http.StatusNotFound,
	fault.TagUnknown:       http.StatusNotFound,
	fault.ManifestUnknown:  http.StatusNotFound,
	fault.BlobUnknown:      http.StatusNotFound,
	fault.ReferenceUnknown: http.StatusConflict, // a blob was removed while the chart was being stored
	fault.UploadUnknown:    http.StatusNotFound,
	fault.GrantUnknown:     http.StatusNotFound,
	fault.ShareUnknown:     http.StatusNotFound,
	fault.RuleUnknown:      http.StatusNotFound,
	fault.JobUnknown:       http.StatusNotFound,
	fault.Exists:           http.StatusConflict,
	fault.NotEmpty:         http.StatusConflict,
	fault.InUse:            http.StatusConflict,
	fault.Quota:            http.StatusForbidden,
	fault.TooMany:          http.StatusTooManyRequests,
	fault.Full:             http.StatusInsufficientStorage,
	fault.Unavailable:      http.StatusServiceUnavailable,
	fault.Timeout:          http.StatusRequestTimeout,
	fault.Internal:         http.StatusInternalServerError,
}

func statusOf(c fault.Code) int { return statuses[c] }

// problem is an error as ChartMuseum answers it, and its plugin reads it.
type problem struct {
	Error string `json:"error"`
}

func (a *API) fail(c *call, err error) {
	f := web.Failure(c.w, c.r, err, statusOf)
	if f == nil {
		return
	}
	if f.Code == fault.Unauthorized {
		// Without this helm does not send the password that it has.
		_, host := a.origin.External(c.r)
		c.w.Header()["Www-Authenticate"] = []string{`Basic realm="` + host + `"`}
	}
	h := c.w.Header()
	for _, k := range [...]string{"Content-Type", "Etag", "Last-Modified", "Content-Encoding", "Cache-Control", "Vary"} {
		delete(h, k)
	}
	web.WriteJSON(c.w, statusOf(f.Code), problem{cmp.Or(f.Msg, string(f.Code))})
}
