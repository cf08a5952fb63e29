package sync

import (
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
)

// The source is killed again and again while it copies; in the end the target
// has the image, and what was sent is far less than beginning anew each time.
func TestSourceIsKilled(t *testing.T) {
	t.Parallel() // it waits for a slow link, mostly
	for name, c := range map[string]struct {
		options berthtest.Options
		kills   int
	}{
		"sqlite": {berthtest.Options{}, 6},
		// Where there may be other nodes, the claim of the dead one has to end first.
		"postgres": {berthtest.Options{Postgres: true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sourceIsKilled(t, c.options, c.kills)
		})
	}
}

const big = 192 << 20

func sourceIsKilled(t *testing.T, o berthtest.Options, most int) {
	from, to := source(t, o), berthtest.Start(t, berthtest.Options{})
	to.Org(t, "group")
	p := newProxy(t, to.Host)
	p.slow.Store(true)
	region(t, from, to, "http://"+p.Addr().String())
	m := images.New(t.Name()).Image(1, big)
	push(t, from, "acme/app", "v1", m)
	command(t, from, "", "sync", "run", "acme/app:v1", "north/group")
	kills := 0
	there := client(t, to)
	for ; kills < most && manifest(t, there, "group/app", "v1") == ""; kills++ {
		before := p.sent.Load()
		until(t, "something is sent", func() bool { return p.sent.Load() > before+big/6 || manifest(t, there, "group/app", "v1") != "" })
		if err := from.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := from.Run(); err != nil {
			t.Fatal(err)
		}
	}
	p.slow.Store(false)
	until(t, "the image arrives", func() bool { return manifest(t, there, "group/app", "v1") != "" })
	equal(t, from, to, "acme/app", "group/app", "v1")
	t.Logf("%d kills, %d MiB sent for %d MiB", kills, p.sent.Load()>>20, big>>20)
	if sent, anew := p.sent.Load(), int64(big+kills*big/6); kills < 2 || sent > big+int64(kills+1)*40<<20 {
		t.Errorf("%d bytes were sent with %d kills; beginning anew takes about %d", sent, kills, anew)
	}
	fsck(t, from, to)
}

// The target is killed again and again; what was sent before is not sent anew.
func TestTargetIsKilled(t *testing.T) {
	t.Parallel()
	from, to := source(t, berthtest.Options{}), berthtest.Start(t, berthtest.Options{})
	to.Org(t, "group")
	p := newProxy(t, to.Host)
	p.slow.Store(true)
	region(t, from, to, "http://"+p.Addr().String())
	push(t, from, "acme/app", "v1", images.New(t.Name()).Image(1, big))
	command(t, from, "", "sync", "run", "acme/app:v1", "north/group")
	there := client(t, to)
	kills := 0
	for ; kills < 4 && manifest(t, there, "group/app", "v1") == ""; kills++ {
		before := p.sent.Load()
		until(t, "something is sent", func() bool { return p.sent.Load() > before+big/6 || manifest(t, there, "group/app", "v1") != "" })
		if err := to.Kill(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		if err := to.Run(); err != nil {
			t.Fatal(err)
		}
	}
	p.slow.Store(false)
	until(t, "the image arrives", func() bool { return manifest(t, there, "group/app", "v1") != "" })
	equal(t, from, to, "acme/app", "group/app", "v1")
	t.Logf("%d kills, %d MiB sent for %d MiB", kills, p.sent.Load()>>20, big>>20)
	if sent := p.sent.Load(); kills < 2 || sent > big+int64(kills+1)*40<<20 {
		t.Errorf("%d bytes were sent with %d kills", sent, kills)
	}
	fsck(t, from, to)
}

// equal compares what two servers answer for a tag.
func equal(t *testing.T, a, b *berthtest.Server, nameA, nameB, tag string) {
	t.Helper()
	here, there := manifest(t, client(t, a), nameA, tag), manifest(t, client(t, b), nameB, tag)
	if here == "" || here != there {
		t.Errorf("the manifests differ:\n%s\n%s", here, there)
	}
}

func fsck(t *testing.T, servers ...*berthtest.Server) {
	t.Helper()
	for _, s := range servers {
		if err := s.Fsck(); err != nil {
			t.Error(err)
		}
	}
}
