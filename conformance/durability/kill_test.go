// Package durability holds Berth to its word: what it acknowledged is there
// after kill -9, after a power cut that takes everything that was not synced,
// and on a full disk.
package durability

import (
	"context"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/wire"
)

func TestMain(m *testing.M) { os.Exit(berthtest.Main(m.Run)) }

const workers = 8

// machine is a server with a load that keeps its books.
type machine struct {
	*berthtest.Server
	*ledger
	client  *wire.Client
	workers []*worker
	rng     *rand.Rand
}

func newMachine(t *testing.T, s *berthtest.Server, collecting bool) *machine {
	t.Helper()
	admin := s.Admin()
	c, err := wire.New(s.URL(), s.Client(), wire.Basic, admin.User, admin.Password)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{Server: s, ledger: newLedger(collecting), client: c, rng: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))}
	m.workers = newWorkers(m.ledger, c, s.Org(t, "load"), workers)
	return m
}

// load has the workers work for a while, and ends that with stop.
func (m *machine) load(ctx context.Context, d time.Duration, stop func() error) error {
	var stopped atomic.Bool
	done := make(chan error, 1)
	go func() { done <- run(ctx, m.workers, stopped.Load) }()
	select {
	case err := <-done: // before anything was stopped: something is wrong
		return err
	case <-time.After(d):
	}
	stopped.Store(true)
	err := stop()
	if broken := <-done; err == nil {
		err = broken
	}
	return err
}

// upTo is a random time.
func (m *machine) upTo(d time.Duration) time.Duration { return time.Duration(m.rng.Int64N(int64(d))) }

// The real binary dies at random moments under load, and sometimes while it
// starts; afterwards everything acknowledged is there.
func TestKill(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { killed(t, berthtest.Options{}, 50) })
	t.Run("postgres", func(t *testing.T) { killed(t, berthtest.Options{Postgres: true}, 8) })
}

func killed(t *testing.T, o berthtest.Options, times int) {
	m := newMachine(t, berthtest.Start(t, o), false)
	for i := range times {
		if err := m.load(t.Context(), m.upTo(400*time.Millisecond), m.Kill); err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		if i%5 == 4 { // once more, before it is up
			if err := m.Spawn(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(m.upTo(60 * time.Millisecond))
			if err := m.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Run(); err != nil {
			t.Fatal(err)
		}
		if err := m.look(t.Context(), m.client, m.rng, 50); err != nil {
			t.Fatalf("after kill %d: %v", i, err)
		}
		if err := m.resume(t.Context(), m.client, false); err != nil {
			t.Fatalf("after kill %d: %v", i, err)
		}
	}
	if err := m.look(t.Context(), m.client, m.rng, -1); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := m.Fsck(); err != nil {
		t.Fatal(err)
	}
	t.Log(m.counts())
}
