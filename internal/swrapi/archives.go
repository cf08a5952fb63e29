package swrapi

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// Upload of image archives. SWR has it in its console and describes no wire for
// it: this one is of our own design (docs/archives.md).

const archivesPath = "/v2/manage/namespaces/{namespace}/archives"

var archiveRoutes = []route{
	{method: http.MethodPost, pattern: archivesPath, name: "CreateImageArchive", do: iam.UploadPage, about: anArchive, handle: (*API).startArchive},
	{method: http.MethodGet, pattern: archivesPath, name: "ListImageArchives", do: iam.UploadPage, about: anArchive, handle: (*API).listArchives},
	{method: http.MethodGet, pattern: archivesPath + "/{archive_id}", name: "ShowImageArchive", do: iam.UploadPage, about: anArchive, handle: (*API).showArchive},
	{method: http.MethodPatch, pattern: archivesPath + "/{archive_id}", name: "UploadImageArchivePart", do: iam.UploadPage, about: anArchive, streams: true, handle: (*API).appendArchive},
	{method: http.MethodPut, pattern: archivesPath + "/{archive_id}", name: "PutImageArchivePart", do: iam.UploadPage, about: anArchive, streams: true, handle: (*API).appendArchive},
	{method: http.MethodPost, pattern: archivesPath + "/{archive_id}/finish", name: "FinishImageArchive", do: iam.UploadPage, about: anArchive, handle: (*API).finishArchive},
	{method: http.MethodDelete, pattern: archivesPath + "/{archive_id}", name: "DeleteImageArchive", do: iam.UploadPage, about: anArchive, handle: (*API).cancelArchive},
}

// imageArchive is the state of an upload.
type imageArchive struct {
	ID         string         `json:"id"`
	Namespace  string         `json:"namespace"`
	Repository string         `json:"repository"`
	Tag        string         `json:"tag"`
	Rename     bool           `json:"rename"`
	State      string         `json:"state"`    // open, unpacking, done, failed
	Size       *int64         `json:"size"`     // bytes announced; null: none
	Offset     int64          `json:"offset"`   // bytes that are safe: where the next part begins
	Unpacked   int64          `json:"unpacked"` // bytes of layers read so far
	Images     []archiveImage `json:"images"`
	Error      *listed        `json:"error"` // of a failed one
	Created    stamp          `json:"created"`
	Expires    *stamp         `json:"expires"` // null while it is unpacked
}

// archiveImage is one name that an image of the archive got. Tag and path are
// empty for what belongs to another image, such as a signature.
type archiveImage struct {
	Repository string     `json:"repository"`
	Tag        string     `json:"tag"`
	Digest     oci.Digest `json:"digest"`
	ImageID    string     `json:"image_id"`
	Path       string     `json:"path"`
}

func (a *API) archiveOf(c *call, x registry.Archive) imageArchive {
	out := imageArchive{ID: x.ID, Namespace: x.Org, Repository: x.Repository, Tag: x.Tag, Rename: x.Rename, State: string(x.State),
		Offset: x.Received, Unpacked: x.Unpacked, Images: []archiveImage{}, Created: stamp(x.Created)}
	if !x.Expires.IsZero() {
		expires := stamp(x.Expires)
		out.Expires = &expires
	}
	if x.Size >= 0 {
		out.Size = &x.Size
	}
	for _, i := range x.Images {
		id := i.Config
		if id == "" {
			id = i.Digest
		}
		img := archiveImage{Repository: i.Repository, Digest: i.Digest, ImageID: id.Hex()}
		if len(i.Tags) == 0 {
			out.Images = append(out.Images, img)
		}
		for _, t := range i.Tags {
			img.Tag, img.Path = t, a.imagePath(c, x.Org, i.Repository)+":"+t
			out.Images = append(out.Images, img)
		}
	}
	if x.Failure != nil {
		out.Error = &listed{Code: string(answerOf(anArchive, x.Failure).code), Message: cmp.Or(x.Failure.Msg, unpackFailed)}
	}
	return out
}

// unpackFailed is what is told of a defect of ours.
const unpackFailed = "Something went wrong in the registry while it unpacked the archive; its log says more under the id of the upload."

// answerArchive renders a state; the header tells clients that do not read JSON
// where to go on.
func (a *API) answerArchive(c *call, status int, x registry.Archive) error {
	c.w.Header()["Upload-Offset"] = []string{strconv.FormatInt(x.Received, 10)}
	return c.answer(status, a.archiveOf(c, x))
}

// archiveID is the id of the path.
func (c *call) archiveID() (string, error) {
	id := c.path["archive_id"]
	if !registry.ValidArchiveID(id) {
		return "", problemf(badSession, "The id of the upload is malformed: it has 32 hexadecimal digits.")
	}
	return id, nil
}

func (a *API) startArchive(c *call) error {
	var in struct {
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
		Rename     bool   `json:"rename"`
		Size       *int64 `json:"size"`
	}
	if len(c.body) > 0 {
		if err := c.decode(&in); err != nil {
			return err
		}
	}
	spec := registry.ArchiveSpec{Repository: in.Repository, Tag: in.Tag, Rename: in.Rename, Size: -1}
	if in.Size != nil {
		if spec.Size = *in.Size; spec.Size < 0 {
			return fault.New(fault.Invalid, "The size of an archive is at least one byte.")
		}
	}
	x, err := a.reg.StartArchive(c.r.Context(), c.who, c.org, spec)
	if err != nil {
		return err
	}
	c.w.Header()["Location"] = []string{"/v2/manage/namespaces/" + c.org + "/archives/" + x.ID}
	return a.answerArchive(c, http.StatusCreated, x)
}

func (a *API) listArchives(c *call) error {
	list, err := a.reg.Archives(c.r.Context(), c.who, c.org, maxLimit)
	if err != nil {
		return err
	}
	out := struct {
		Archives []imageArchive `json:"archives"`
	}{[]imageArchive{}}
	for _, x := range list.Items {
		out.Archives = append(out.Archives, a.archiveOf(c, x))
	}
	return c.ok(out)
}

func (a *API) showArchive(c *call) error {
	id, err := c.archiveID()
	if err != nil {
		return err
	}
	x, err := a.reg.Archive(c.r.Context(), c.who, c.org, id)
	if err != nil {
		return err
	}
	return a.answerArchive(c, http.StatusOK, x)
}

func (a *API) appendArchive(c *call) error {
	id, err := c.archiveID()
	if err != nil {
		return err
	}
	// A body that is verified only at its end counts as a whole or not at all.
	part := registry.ArchivePart{Offset: -1, Length: c.r.ContentLength, Body: c.stream, Whole: c.stream != c.r.Body}
	if h := c.r.Header["Content-Range"]; len(h) == 1 {
		// As RFC 9110 writes it, "bytes 0-1023/2048", and as registries do.
		span, _, _ := strings.Cut(strings.TrimPrefix(h[0], "bytes "), "/")
		if part.Offset, part.Length, err = web.ParseContentRange([]string{span}, part.Length); err != nil {
			return problem(badParameter, err)
		}
	}
	if s := c.query.Get("offset"); s != "" {
		off, err := strconv.ParseInt(s, 10, 64)
		if err != nil || off < 0 {
			return fault.New(fault.PageInvalid, "offset is a number of digits.")
		}
		if part.Offset >= 0 && part.Offset != off {
			return fault.New(fault.Invalid, "The offset is %d and the Content-Range begins at %d.", off, part.Offset)
		}
		part.Offset = off
	}
	x, err := a.reg.AppendArchive(c.r.Context(), c.who, c.org, id, part)
	if err != nil {
		return misplaced(c, err)
	}
	return a.answerArchive(c, http.StatusOK, x)
}

// misplaced adds to a refused part where the upload really stands.
func misplaced(c *call, err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Code == fault.RangeInvalid {
		if size, ok := f.Detail.(int64); ok {
			c.w.Header()["Upload-Offset"] = []string{strconv.FormatInt(size, 10)}
		}
	}
	return err
}

// How long an answer to finish waits for the images.
const (
	usualWait = 10 * time.Second
	maxWait   = 60 * time.Second
)

func (a *API) finishArchive(c *call) error {
	id, err := c.archiveID()
	if err != nil {
		return err
	}
	var in struct {
		SHA256 string `json:"sha256"`
	}
	if len(c.body) > 0 {
		if err := c.decode(&in); err != nil {
			return err
		}
	}
	var d oci.Digest
	if in.SHA256 != "" {
		if d, err = oci.ParseDigest("sha256:" + strings.TrimPrefix(in.SHA256, "sha256:")); err != nil {
			return err
		}
	}
	wait := usualWait
	if c.query.Has("wait") {
		n, err := digits("wait", c.query.Get("wait"))
		if err != nil {
			return err
		}
		wait = min(time.Duration(min(n, 3600))*time.Second, maxWait)
	}
	x, err := a.reg.FinishArchive(c.r.Context(), c.who, c.org, id, d, wait)
	switch {
	case err != nil:
		return err
	case x.Failure != nil:
		return x.Failure
	case x.State == registry.ArchiveUnpacking:
		return a.answerArchive(c, http.StatusAccepted, x)
	}
	return a.answerArchive(c, http.StatusOK, x)
}

func (a *API) cancelArchive(c *call) error {
	id, err := c.archiveID()
	if err != nil {
		return err
	}
	if err := a.reg.CancelArchive(c.r.Context(), c.who, c.org, id); err != nil {
		return err
	}
	return c.noContent()
}
