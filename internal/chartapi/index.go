package chartapi

import (
	"net/http"
	"strconv"
	"strings"

	"berth.dev/berth/internal/web"
)

var (
	yamlType     = []string{"application/x-yaml; charset=utf-8"}
	jsonType     = []string{"application/json"}
	noCache      = []string{"no-cache"} // ask each time: what is there has a tag
	vary         = []string{"Accept-Encoding"}
	gzipEncoding = []string{"gzip"}
)

const gzipTag = "-gzip"

// index answers GET and HEAD of index.yaml.
func (a *API) index(c *call) error {
	x, err := a.charts.Index(c.r.Context(), c.who, c.path["group"])
	if err != nil {
		return err
	}
	h := c.w.Header()
	zipped := acceptsGzip(c.r.Header["Accept-Encoding"])
	tag := x.ETag
	if zipped {
		tag += gzipTag
	}
	h["Etag"] = []string{`"` + tag + `"`}
	h["Cache-Control"] = noCache
	h["Vary"] = vary
	known := c.r.Header["If-None-Match"]
	if web.Matches(known, x.ETag) || web.Matches(known, x.ETag+gzipTag) || len(known) == 0 && a.unmodified(c, x.Modified.Unix()) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body := x.Body
	if zipped {
		body = x.Gzip
		h["Content-Encoding"] = gzipEncoding
	}
	text := body()
	h["Last-Modified"] = []string{x.Modified.Format(http.TimeFormat)}
	h["Content-Type"] = yamlType
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodGet {
		_, err = c.w.Write(text)
		web.Of(c.w).Failed(err)
	}
	return nil
}

// unmodified evaluates If-Modified-Since, which knows seconds: what was changed
// in the second that the client names may have been changed again since.
func (a *API) unmodified(c *call, modified int64) bool {
	since, err := http.ParseTime(c.r.Header.Get("If-Modified-Since"))
	return err == nil && modified < since.Unix()
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func acceptsGzip(header []string) bool {
	any := false
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			coding, q, _ := strings.Cut(part, ";")
			name := strings.ToLower(strings.TrimSpace(coding))
			if name != "gzip" && name != "x-gzip" && name != "*" {
				continue
			}
			weight := 1.0
			if v, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(q, " ", "")), "q="); ok {
				var err error
				if weight, err = strconv.ParseFloat(v, 64); err != nil {
					weight = 0
				}
			}
			if name != "*" {
				return weight > 0
			}
			any = weight > 0
		}
	}
	return any
}
