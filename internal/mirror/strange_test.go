package mirror_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/mirror"
	"berth.dev/berth/internal/registry"
)

// A region that moves gets the whole of a large blob that was on its way to
// where it was; nothing more is asked there.
func TestRegionMoves(t *testing.T) {
	from, _, w := pair(t, mirror.Options{Large: 1 << 20, Chunk: 256 << 10})
	d := from.push(app, "v1", imageType, from.image(app, "large", 4<<20))
	_, err := from.SyncNow(t.Context(), from.admin, app, []string{"v1"}, north, false)
	must(t, err)
	stop := from.run()
	w.cutAfter.Store(2 << 20)
	until(t, "the wire is cut", func() bool { return w.cutAfter.Load() == 0 })
	w.away.Store(true)
	stop()
	if u, err := from.FindSyncUpload(t.Context(), iam.System("test"), "north", "acme/app", string(digestOf(bytesOf("large-0", 4<<20)))); err != nil || u == nil {
		t.Fatalf("no upload is under way: %v", err)
	}
	other := open(t, mirror.Options{})
	moved := serve(t, other.api, false)
	pass, yes := password, true
	must(t, from.SetRegion(t.Context(), iam.Operator(), "north", registry.RegionPatch{URL: &moved.URL, Password: &pass, PlainHTTP: &yes}))
	from.run()
	if j := from.over(); j.Status != registry.SyncDone || other.digest(app, "v1") != d {
		t.Fatalf("%+v", j)
	}
}

// A region that takes connections and answers nothing holds up no other.
func TestHangingRegion(t *testing.T) {
	from, to, _ := pair(t, mirror.Options{Look: 300 * time.Millisecond})
	let := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-let:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(let) })
	yes := true
	must(t, from.AddRegion(t.Context(), iam.Operator(), "south", registry.RegionPatch{URL: &hanging.URL, PlainHTTP: &yes}))
	var tags []string
	for i := range 20 {
		tags = append(tags, fmt.Sprint("v", i))
		from.tag(app, tags[i], tags[i])
	}
	_, err := from.SyncNow(t.Context(), from.admin, app, tags, registry.SyncTarget{Region: "south", Organization: "acme"}, false)
	must(t, err)
	_, err = from.SyncNow(t.Context(), from.admin, app, tags[:3], north, false)
	must(t, err)
	from.run()
	until(t, "the other region has its images", func() bool {
		return !slices.ContainsFunc(tags[:3], func(tag string) bool { return to.digest(app, tag) == "" })
	})
}

// What the other side lists as tags and are none is left out of comparisons.
func TestNoTags(t *testing.T) {
	from, to := open(t, mirror.Options{}), open(t, mirror.Options{})
	w := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			fmt.Fprintf(rw, `{"name":"acme/app","tags":["extra",%q,"a b","\u0000",""]}`, strings.Repeat("x", 100_000))
			return
		}
		to.api.ServeHTTP(rw, r)
	}), false)
	from.region(w.URL)
	from.tag(app, "v1", "one")
	from.rule(registry.Sync{})
	from.run()
	var r registry.SyncReport
	until(t, "it is compared", func() bool {
		var err error
		r, err = from.Differences(t.Context(), from.admin, app, north, false, 0, 10)
		must(t, err)
		return r.State == "done"
	})
	if r.Missing != 1 || r.Extra != 1 || len(r.Entries) != 2 {
		t.Errorf("%d missing, %d extra, %d entries", r.Missing, r.Extra, len(r.Entries))
	}
}

// A rule that is deleted while its image is on the way does not go on trying.
func TestDeletedUnderWay(t *testing.T) {
	from, to := open(t, mirror.Options{}), open(t, mirror.Options{})
	var hold atomic.Bool
	asked, let := make(chan struct{}, 1), make(chan struct{})
	w := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if hold.Load() && strings.Contains(r.URL.Path, "/manifests/") {
			select {
			case asked <- struct{}{}:
			default:
			}
			<-let
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		to.api.ServeHTTP(rw, r)
	}), false)
	from.region(w.URL)
	from.run()
	from.rule(registry.Sync{Auto: true})
	hold.Store(true)
	from.tag(app, "v1", "one")
	<-asked
	must(t, from.DeleteSync(t.Context(), from.admin, app, north))
	close(let)
	if j := from.over(); j.Status != registry.SyncCancelled || !strings.Contains(j.Detail, "was deleted") {
		t.Errorf("%+v", j)
	}
}

// A rule that is behind is caught up also where the first try came to nothing,
// here since the region was not registered for a while. While there is no room
// for more the other side is not asked.
func TestBehindAgain(t *testing.T) {
	from, to, w := pair(t, mirror.Options{})
	from.run()
	from.rule(registry.Sync{Auto: true})
	from.full()
	must(t, from.DeleteRegion(t.Context(), iam.Operator(), "north"))
	d := from.tag(app, "v1", "one")
	until(t, "catching up has failed", func() bool {
		r, err := from.Differences(t.Context(), from.admin, app, north, false, 0, 10)
		return err == nil && r.State == "failed" && r.Reconcile
	})
	from.region(w.URL)
	from.tag(app, "v2", "two")
	until(t, "it waits for room", func() bool {
		jobs, err := from.Jobs(t.Context(), from.admin, registry.CompareKind, job.Waiting, 0, 10)
		must(t, err)
		return len(jobs.Items) == 1 && strings.Contains(jobs.Items[0].Error, "come first")
	})
	if n := w.seen("GET tags"); n > 0 {
		t.Errorf("the tags over there were listed %d times for nothing", n)
	}
	from.empty()
	until(t, "it is caught up", func() bool { return to.digest(app, "v1") == d })
}
