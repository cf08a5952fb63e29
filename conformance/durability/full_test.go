package durability

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// smallDisk mounts a file system of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	// A short path: the data directory holds a socket.
	dir, err := os.MkdirTemp("", "full-")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		_ = os.Remove(dir)
		berthtest.Missing(t, berthtest.Mount, "mounting a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(syscall.Unmount(dir, syscall.MNT_DETACH), os.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// free is how many bytes the file system of dir has left.
func free(t *testing.T, dir string) int64 {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

// full says that a request was refused for want of room, in the words of the
// distribution-spec, Error Codes.
func full(err error) bool {
	refused := wire.StatusError{}
	if !errors.As(err, &refused) || refused.Status != http.StatusInsufficientStorage {
		return false
	}
	var envelope struct {
		Errors []struct{ Code, Message string }
	}
	return json.Unmarshal(refused.Body, &envelope) == nil && len(envelope.Errors) == 1 &&
		envelope.Errors[0].Code == "UNAVAILABLE" && envelope.Errors[0].Message != ""
}

// stored is an image that was acknowledged.
type stored struct {
	repo  string
	image *images.Manifest
}

// fill has several clients push images until each is told that the disk is
// full. Anything else but success is an error.
func fill(ctx context.Context, c *wire.Client, org string) ([]stored, error) {
	const clients, most = 4, 100
	var mu sync.Mutex
	var all []stored
	var wait sync.WaitGroup
	errs := make([]error, clients)
	for i := range clients {
		wait.Go(func() {
			repo, source := fmt.Sprintf("%s/r%d", org, i), images.New(fmt.Sprint("full ", i))
			for n := range most {
				image := source.Image(2, 300_000)
				err := c.Push(ctx, repo, fmt.Sprintf("v%d", n), image)
				if full(err) {
					return
				}
				if err != nil {
					errs[i] = err
					return
				}
				mu.Lock()
				all = append(all, stored{repo, image})
				mu.Unlock()
			}
			errs[i] = fmt.Errorf("%d images of %s found room", most, repo)
		})
	}
	wait.Wait()
	return all, errors.Join(errs...)
}

func basicClient(t *testing.T, s *berthtest.Server) *wire.Client {
	t.Helper()
	admin := s.Admin()
	c, err := wire.New(s.URL(), s.Client(), wire.Basic, admin.User, admin.Password)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// On a full disk Berth refuses what needs room and does everything else: it
// serves, deletes, checks itself, starts, and by deleting gets room again.
func TestFullDisk(t *testing.T) {
	data := filepath.Join(smallDisk(t, "48m"), "data")
	ctx := t.Context()
	room := []string{"--storage-reserve-bytes", "8MiB", "--storage-reserve-percent", "0"}
	// What is pushed is kept for the grace time, whatever becomes of it.
	short := append(room[:len(room):len(room)], "--collection-grace", "5s", "--uploads-life", "5s")
	s := berthtest.Start(t, berthtest.Options{Data: data, Settings: short})
	c := basicClient(t, s)
	org := s.Org(t, "full")
	all, err := fill(ctx, c, org)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d images of 600 kB fit", len(all))
	if len(all) < 20 {
		t.Fatalf("full after %d images", len(all))
	}

	// A body that says how long it is meets the reserve, a stream what the disk
	// has; what that one wrote is given back.
	source := images.New(t.Name())
	sized, streamed := source.Blob(1<<20), source.Blob(16<<20)
	if err := c.PushBlob(ctx, org+"/r0", sized.Digest, sized.Data); !full(err) {
		t.Errorf("a blob with its length: %v", err)
	}
	location, err := c.StartUpload(ctx, org+"/r0")
	if err != nil {
		t.Fatal(err)
	}
	before := free(t, data)
	_, err = c.Want(ctx, http.StatusAccepted, wire.Request{Method: http.MethodPatch, To: location, Stream: io.MultiReader(bytes.NewReader(streamed.Data))})
	if !full(err) {
		t.Errorf("a stream: %v", err)
	}
	if after := free(t, data); before-after > 1<<20 {
		t.Errorf("%d bytes free after a refusal, %d before", after, before)
	}
	for _, one := range all {
		if err := pull(ctx, c, one); err != nil {
			t.Fatal(err)
		}
	}
	if err := remove(ctx, c, all[0]); err != nil {
		t.Error(err)
	}
	if err := s.Fsck(); err != nil {
		t.Fatal(err)
	}

	// It starts on a full disk too, now with a collector in a hurry.
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s = berthtest.Start(t, berthtest.Options{Data: data, Settings: append(room[:len(room):len(room)],
		"--collection-grace", "1s", "--collection-undelete", "0s", "--collection-sweep", "100ms", "--uploads-life", "1s")})
	c = basicClient(t, s)
	kept, gone := all[1:5], all[5:]
	for _, one := range gone {
		if err := remove(ctx, c, one); err != nil {
			t.Fatal(err)
		}
	}
	again := stored{org + "/again", images.New("again").Image(2, 3_000_000)}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := c.Push(ctx, again.repo, "v1", again.image)
		if err == nil {
			break
		}
		if !full(err) || time.Now().After(deadline) {
			t.Fatalf("after deleting %d images: %v", len(gone), err)
		}
	}
	for _, one := range append(kept, again) {
		if err := pull(ctx, c, one); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Fsck(); err != nil {
		t.Fatal(err)
	}
}

// pull compares an image, byte by byte.
func pull(ctx context.Context, c *wire.Client, one stored) error {
	paths := map[string][]byte{wire.Manifest(one.repo, one.image.Digest.String()): one.image.Data}
	for _, b := range one.image.Blobs {
		paths[wire.Blob(one.repo, b.Digest)] = b.Data
	}
	for path, want := range paths {
		resp, err := c.Want(ctx, http.StatusOK, wire.Request{Method: http.MethodGet, To: path})
		if err != nil {
			return err
		}
		if !bytes.Equal(resp.Body, want) {
			return fmt.Errorf("%s: other bytes", path)
		}
	}
	return nil
}

func remove(ctx context.Context, c *wire.Client, one stored) error {
	_, err := c.Want(ctx, http.StatusAccepted, wire.Request{Method: http.MethodDelete, To: wire.Manifest(one.repo, one.image.Digest.String())})
	return err
}
