// Package bare is what a registry is compared with beside other registries: the least
// that net/http can do for the same bytes. It serves one manifest from memory, sends one
// file by sendfile, and receives uploads in two ways: one step after the other, and
// overlapped. It knows no names, no rights and no database.
package bare

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

// Paths of the bare server. Everything below /v2/ answers with the manifest that was put.
const (
	PathManifest  = "/manifest"
	PathFile      = "/file"
	PathStep      = "/upload/step"
	PathPipelined = "/upload/pipelined"
	fileName      = "served"
	uploadName    = "received"
)

type handler struct {
	dir      string
	manifest atomic.Pointer[manifest]
}

type manifest struct {
	body                     []byte
	mediaType, digest, bytes []string // header values
}

// Serve listens on addr until the process ends; its files are in dir.
func Serve(addr, dir string) error {
	return http.ListenAndServe(addr, &handler{dir: dir})
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	switch p := r.URL.Path; {
	case p == "/v2/":
	case strings.HasPrefix(p, "/v2/") && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		err = h.get(w)
	case p == PathManifest && r.Method == http.MethodPut:
		err = h.put(w, r)
	case p == PathFile && r.Method == http.MethodGet:
		err = h.send(w)
	case p == PathStep && r.Method == http.MethodPatch:
		err = h.receive(w, r, step)
	case p == PathPipelined && r.Method == http.MethodPatch:
		err = h.receive(w, r, pipelined)
	case strings.HasPrefix(p, "/upload/") && r.Method == http.MethodDelete:
		err = os.Remove(filepath.Join(h.dir, uploadName))
	default:
		http.NotFound(w, r)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (h *handler) put(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	h.manifest.Store(&manifest{body: body,
		mediaType: []string{r.Header.Get("Content-Type")},
		digest:    []string{"sha256:" + hex.EncodeToString(sum[:])},
		bytes:     []string{strconv.Itoa(len(body))}})
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (h *handler) get(w http.ResponseWriter) error {
	m := h.manifest.Load()
	if m == nil {
		return errors.New("no manifest was put")
	}
	header := w.Header()
	header["Content-Type"] = m.mediaType
	header["Content-Length"] = m.bytes
	header["Docker-Content-Digest"] = m.digest
	_, err := w.Write(m.body) // dropped by net/http on HEAD
	if errors.Is(err, http.ErrBodyNotAllowed) {
		return nil
	}
	return err
}

func (h *handler) send(w http.ResponseWriter) error {
	f, err := os.Open(filepath.Join(h.dir, fileName))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", fmt.Sprint(info.Size()))
	_, err = io.Copy(w, f) // sendfile, as w is not wrapped
	return err
}

// receive stores the body durably: file and directory are synced before the answer.
func (h *handler) receive(w http.ResponseWriter, r *http.Request, take func(*os.File, io.Reader) ([]byte, error)) error {
	f, err := os.Create(filepath.Join(h.dir, uploadName))
	if err != nil {
		return err
	}
	defer f.Close()
	sum, err := take(f, r.Body)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	d, err := os.Open(h.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return err
	}
	w.Header().Set("Docker-Content-Digest", "sha256:"+hex.EncodeToString(sum))
	w.WriteHeader(http.StatusCreated)
	return nil
}
