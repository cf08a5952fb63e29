// Package syscalls counts what the real berth binary asks of the kernel, by
// strace: seconds depend on the machine, these counts do not.
package syscalls

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/tool"
	"berth.dev/berth/conformance/internal/wire"
)

func TestMain(m *testing.M) { os.Exit(berthtest.Main(m.Run)) }

// traced is a server under strace with a client.
type traced struct {
	t    *testing.T
	path string
	c    *wire.Client
	repo string
}

func trace(t *testing.T) *traced {
	t.Helper()
	if !tool.Has("strace") {
		berthtest.Missing(t, berthtest.Clients, "strace is not here: run conformance/install.sh")
	}
	path := filepath.Join(t.TempDir(), "trace")
	// -D: strace is the child, so that signals reach berth.
	s := berthtest.Start(t, berthtest.Options{Under: []string{"strace", "-D", "-f", "--seccomp-bpf", "-y", "-e", "trace=fsync,fdatasync,sendfile", "-o", path}})
	admin := s.Admin()
	c, err := wire.New(s.URL(), s.Client(), wire.Basic, admin.User, admin.Password)
	if err != nil {
		t.Fatal(err)
	}
	return &traced{t: t, path: path, c: c, repo: s.Org(t, "traced") + "/app"}
}

// during returns the lines of calls that began while f ran. strace writes a
// line before it lets the program go on, so an answer comes after its lines.
func (tr *traced) during(f func(ctx context.Context) error) []string {
	tr.t.Helper()
	before := tr.lines()
	if err := f(tr.t.Context()); err != nil {
		tr.t.Fatal(err)
	}
	return tr.lines()[len(before):]
}

func (tr *traced) lines() []string {
	tr.t.Helper()
	text, err := os.ReadFile(tr.path)
	if err != nil {
		tr.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// syncs counts fsync and fdatasync.
func syncs(lines []string) int {
	blobs, commits := split(lines)
	return blobs + commits
}

// split counts the syncs of stored bytes (a file or its directory) apart from
// those of the database, which are commits.
func split(lines []string) (blobs, commits int) {
	for _, line := range lines {
		switch {
		case !strings.Contains(line, "fsync(") && !strings.Contains(line, "fdatasync("):
		case strings.Contains(line, "/blobs/"):
			blobs++
		default:
			commits++
		}
	}
	return blobs, commits
}

// sent adds up what sendfile moved.
func sent(lines []string) int {
	total := 0
	for _, line := range lines {
		if i := strings.LastIndex(line, " = "); i >= 0 && strings.Contains(line, "sendfile") {
			n, err := strconv.Atoi(line[i+3:])
			if err == nil && n > 0 {
				total += n
			}
		}
	}
	return total
}

// usual is what an operation costs that is done several times: the median, so
// that a checkpoint of the database in one of them does not count.
func (tr *traced) usual(f func(ctx context.Context, i int) error) int {
	tr.t.Helper()
	var counts []int
	for i := range 11 {
		counts = append(counts, syncs(tr.during(func(ctx context.Context) error { return f(ctx, i) })))
	}
	slices.Sort(counts)
	return counts[len(counts)/2]
}

func (tr *traced) atMost(got, most int, what string) {
	tr.t.Helper()
	tr.t.Logf("%s: %d syncs", what, got)
	if got > most {
		tr.t.Errorf("%s takes %d syncs, want %d at most", what, got, most)
	}
}

// Each blob and the manifest of a small image is one commit; bytes in storage
// are a sync of the file, of its directory, and the commit that names the key.
func TestSyncsOfPush(t *testing.T) {
	tr := trace(t)
	source := images.New(t.Name())
	small := func(ctx context.Context, i int) error {
		return tr.c.Push(ctx, tr.repo, fmt.Sprintf("v%d", i), source.Image(1, 100))
	}
	tr.usual(small) // the repository comes into being
	tr.atMost(tr.usual(small), 3, "pushing a small image")
	tr.atMost(tr.usual(func(ctx context.Context, _ int) error {
		b := source.Blob(1 << 20)
		return tr.c.PushBlob(ctx, tr.repo, b.Digest, b.Data)
	}), 4, "pushing a large blob")

	image := source.Image(3, 100_000)
	tr.during(func(ctx context.Context) error { return tr.c.Push(ctx, tr.repo, "again", image) })
	tr.atMost(tr.usual(func(ctx context.Context, _ int) error {
		return tr.c.PushManifest(ctx, tr.repo, "again", image.Blob)
	}), 0, "tagging what is tagged so")
	tr.atMost(tr.usual(func(ctx context.Context, i int) error {
		return tr.c.PushManifest(ctx, tr.repo, fmt.Sprintf("more%d", i), image.Blob)
	}), 1, "tagging")
}

// Docker sends a large blob as POST, PATCH with all bytes, and PUT without a
// body. The bytes cost the same two syncs as in one request; of the commits one
// names the key before its first byte, one keeps how far the PATCH came, and
// one links the blob.
func TestSyncsOfDockerPush(t *testing.T) {
	tr := trace(t)
	source := images.New(t.Name())
	var blobs, commits []int
	for range 11 {
		b := source.Blob(1 << 20)
		lines := tr.during(func(ctx context.Context) error { return tr.pushAsDocker(ctx, b) })
		n, m := split(lines)
		blobs, commits = append(blobs, n), append(commits, m)
	}
	slices.Sort(blobs)
	slices.Sort(commits)
	t.Logf("syncs of stored bytes: %v, commits: %v", blobs, commits)
	if blobs[0] != 2 || blobs[len(blobs)-1] != 2 {
		t.Errorf("%v syncs of stored bytes, want 2: the file and its directory", blobs)
	}
	if usual := commits[len(commits)/2]; usual > 3 {
		t.Errorf("%d commits, want 3 at most", usual)
	}
}

func (tr *traced) pushAsDocker(ctx context.Context, b images.Blob) error {
	location, err := tr.c.StartUpload(ctx, tr.repo)
	if err != nil {
		return err
	}
	// Docker streams: it does not say how much there will be.
	resp, err := tr.c.Want(ctx, http.StatusAccepted, wire.Request{Method: http.MethodPatch, To: location, Stream: io.MultiReader(bytes.NewReader(b.Data))})
	if err != nil {
		return err
	}
	_, err = tr.c.Want(ctx, http.StatusCreated, wire.Request{Method: http.MethodPut, To: wire.WithDigest(resp.Header.Get("Location"), b.Digest)})
	return err
}

// Commits of clients that push at once are one commit.
func TestSyncsAreShared(t *testing.T) {
	tr := trace(t)
	const clients, each = 8, 10
	push := func(ctx context.Context, round int) error {
		var wait sync.WaitGroup
		errs := make(chan error, clients)
		for c := range clients {
			wait.Go(func() {
				source := images.New(fmt.Sprint(round, c))
				for i := range each {
					if err := tr.c.Push(ctx, tr.repo, fmt.Sprintf("v%d-%d-%d", round, c, i), source.Image(1, 100)); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wait.Wait()
		close(errs)
		return <-errs
	}
	tr.during(func(ctx context.Context) error { return push(ctx, 0) })
	n := syncs(tr.during(func(ctx context.Context) error { return push(ctx, 1) }))
	t.Logf("%d small images by %d clients: %d syncs", clients*each, clients, n)
	if n > clients*each*2 {
		t.Errorf("%.1f syncs for an image, want fewer than 2: commits are not shared", float64(n)/(clients*each))
	}
}

// A pull writes nothing, and large blobs go from the file to the network
// without passing through the program.
func TestPull(t *testing.T) {
	tr := trace(t)
	source := images.New(t.Name())
	large := source.Blob(8 << 20)
	image := source.Image(2, 100)
	ctx := t.Context()
	if err := tr.c.PushBlob(ctx, tr.repo, large.Digest, large.Data); err != nil {
		t.Fatal(err)
	}
	if err := tr.c.Push(ctx, tr.repo, "v1", image); err != nil {
		t.Fatal(err)
	}
	get := func(path string, want []byte, header ...string) []string {
		return tr.during(func(ctx context.Context) error {
			r := wire.Request{Method: "GET", To: path, Header: map[string][]string{}}
			for i := 0; i < len(header); i += 2 {
				r.Header[header[i]] = []string{header[i+1]}
			}
			resp, err := tr.c.Send(ctx, r)
			if err == nil && !bytes.Equal(resp.Body, want) {
				err = wire.StatusError{Response: resp}
			}
			return err
		})
	}
	tr.atMost(syncs(get(wire.Manifest(tr.repo, "v1"), image.Data)), 0, "pulling a manifest")
	tr.atMost(syncs(get(wire.Blob(tr.repo, image.Blobs[1].Digest), image.Blobs[1].Data)), 0, "pulling a small blob")

	const header = 64 << 10 // the first bytes may go with the answer's header
	lines := get(wire.Blob(tr.repo, large.Digest), large.Data)
	tr.atMost(syncs(lines), 0, "pulling a large blob")
	if n := sent(lines); n < len(large.Data)-header {
		t.Errorf("sendfile moved %d of %d bytes", n, len(large.Data))
	}
	const from, to = 1 << 20, 5 << 20
	lines = get(wire.Blob(tr.repo, large.Digest), large.Data[from:to], "Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
	if n := sent(lines); n < to-from-header {
		t.Errorf("sendfile moved %d of the %d bytes of a range", n, to-from)
	}
}
