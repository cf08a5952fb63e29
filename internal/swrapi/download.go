package swrapi

import (
	"net/http"
	"strconv"
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

const downloadPath = "/v2/manage/namespaces/{namespace}/repos/{repository}/tags/{tag}/archive"

var downloadRoutes = []route{
	{method: http.MethodGet, pattern: downloadPath, name: "DownloadImageArchive", do: iam.Pull, about: aTag, handle: (*API).downloadArchive},
	{method: http.MethodHead, pattern: downloadPath, name: "HeadImageArchive", do: iam.Pull, about: aTag, handle: (*API).downloadArchive},
}

// downloadArchive sends images as docker save would, or one range of that.
func (a *API) downloadArchive(c *call) error {
	tags := append([]string{c.path["tag"]}, c.query["tag"]...)
	s, err := a.reg.SaveImage(c.r.Context(), c.who, c.repo, tags, c.query.Get("platform"), a.registryHost(c))
	if err != nil {
		return err
	}
	h := c.w.Header()
	h["Etag"] = []string{`"` + s.ETag + `"`}
	h["Accept-Ranges"] = []string{"bytes"}
	if web.Matches(c.r.Header["If-None-Match"], s.ETag) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	status, span := http.StatusOK, web.Span{Off: 0, N: s.Size}
	if want := c.r.Header["Range"]; c.r.Method == http.MethodGet && len(want) == 1 && web.IfRange(c.r.Header["If-Range"], s.ETag) {
		switch part, ok := web.ParseRange(want[0], s.Size); {
		case !ok:
			h["Content-Range"] = []string{"bytes */" + strconv.FormatInt(s.Size, 10)}
			return fault.New(fault.RangeInvalid, "The archive has %d bytes.", s.Size)
		case part.N >= 0:
			status, span = http.StatusPartialContent, part
			h["Content-Range"] = []string{"bytes " + strconv.FormatInt(span.Off, 10) + "-" + strconv.FormatInt(span.Off+span.N-1, 10) + "/" + strconv.FormatInt(s.Size, 10)}
		}
	}
	return a.sendArchive(c, s, status, span)
}

func (a *API) sendArchive(c *call, s *registry.SavedImage, status int, span web.Span) error {
	begun := false
	begin := func() {
		begun = true
		h := c.w.Header()
		h["Content-Type"] = []string{"application/x-tar"}
		h["X-Content-Type-Options"] = []string{"nosniff"}
		h["Content-Disposition"] = []string{`attachment; filename="` + fileName(c) + `"`}
		h["Content-Length"] = []string{strconv.FormatInt(span.N, 10)}
		c.w.WriteHeader(status)
	}
	if c.r.Method == http.MethodHead {
		begin()
		return nil
	}
	if span.Off == 0 {
		s.Count()
	}
	err := s.Send(c.r.Context(), c.w, span.Off, span.N, begin)
	if err != nil && !begun {
		for _, k := range [...]string{"Etag", "Accept-Ranges", "Content-Range"} {
			delete(c.w.Header(), k)
		}
		return err
	}
	if err != nil {
		// There is nothing left to answer with; the client notices by the
		// Content-Length, and goes on from there.
		web.Of(c.w).Failed(err)
	}
	return nil
}

// fileName is what a browser calls the file.
func fileName(c *call) string {
	return strings.ReplaceAll(string(c.repo), "/", "_") + "_" + c.path["tag"] + ".tar"
}
