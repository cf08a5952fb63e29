package job_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/job"
)

// world is a database with one or more queues over it, which play nodes.
type world struct {
	t  *testing.T
	db *db.DB
}

func open(t *testing.T) *world { return &world{t, dbtest.Open(t)} }

// node runs a queue until the test ends, or until stop is called.
func (w *world) node(kinds ...job.Kind) (q *job.Queue, stop func()) {
	q = job.NewQueue(w.db, nil)
	q.Register(kinds...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := q.Run(ctx); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(stop)
	return q, stop
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) add(q *job.Queue, n job.New) bool {
	w.t.Helper()
	added, err := db.Update(w.t.Context(), w.db, func(tx *db.Tx) (bool, error) { return q.Add(tx, n) })
	w.must(err)
	return added
}

func (w *world) change(do func(*db.Tx) error) error {
	_, err := db.Update(w.t.Context(), w.db, func(tx *db.Tx) (struct{}, error) { return struct{}{}, do(tx) })
	return err
}

func (w *world) list(q *job.Queue, f job.Filter) []*job.Job {
	w.t.Helper()
	jobs, _, err := q.List(w.t.Context(), f, 100)
	w.must(err)
	return jobs
}

// until waits for what must become true.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never: %s", what)
		}
	}
}

// seen collects what jobs did.
type seen struct {
	mu   sync.Mutex
	what []string
}

func (s *seen) add(v string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.what = append(s.what, v)
}

func (s *seen) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.what)
}

func soon(int) time.Duration { return time.Millisecond }

// What is added is done, once, and then gone.
func TestRuns(t *testing.T) {
	w := open(t)
	var s seen
	k := job.Kind{Name: "greet", Workers: 3, Run: func(_ context.Context, j *job.Job) error {
		var name string
		if err := j.Decode(&name); err != nil {
			return err
		}
		s.add(name)
		return nil
	}}
	one, _ := w.node(k)
	w.node(k)
	var want []string
	for i := range 50 {
		name := fmt.Sprintf("name-%02d", i)
		want = append(want, name)
		w.add(one, job.New{Kind: "greet", Account: fmt.Sprint("a", i%7), Key: name, Payload: name})
	}
	w.until("all are greeted", func() bool { return len(s.all()) >= len(want) && len(w.list(one, job.Filter{})) == 0 })
	got := s.all()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("greeted %v", got)
	}
}

// Of one key one waits; the newest payload counts where it is asked for.
func TestKey(t *testing.T) {
	w := open(t)
	q := job.NewQueue(w.db, nil)
	n := job.New{Kind: "k", Key: "x", Payload: 1}
	if !w.add(q, n) {
		t.Fatal("the first was not added")
	}
	n.Payload = 2
	if w.add(q, n) {
		t.Fatal("a second one waits")
	}
	payload := func() (v int) {
		jobs := w.list(q, job.Filter{Kind: "k"})
		if len(jobs) != 1 {
			t.Fatalf("%d jobs", len(jobs))
		}
		w.must(jobs[0].Decode(&v))
		return v
	}
	if payload() != 1 {
		t.Fatal("the one that waited was changed")
	}
	n.Replace = true
	if w.add(q, n) || payload() != 2 {
		t.Fatal("the one that waited was not replaced")
	}
	due := func() time.Time { return w.list(q, job.Filter{Kind: "k"})[0].Due }
	was := due()
	n.Payload, n.Due = 3, time.Now().Add(time.Hour)
	n.Sooner = true
	if w.add(q, n) || payload() != 3 || !due().Equal(was) {
		t.Fatal("the sooner due time was lost")
	}
	n.Sooner = false
	if w.add(q, n) || !due().After(was) {
		t.Fatal("the later due time was not taken")
	}
	n.Sooner, n.Due = true, was
	if w.add(q, n) || !due().Equal(was) {
		t.Fatal("the sooner due time was not taken")
	}
	// What is tried for days is tried for days from its own beginning.
	w.must(w.change(func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE job SET attempts = 7, created = created - $1`, time.Hour.Microseconds())
		return err
	}))
	state := func() (int, bool) {
		j := w.list(q, job.Filter{Kind: "k"})[0]
		return j.Attempts, time.Since(j.Created) > time.Hour/2
	}
	w.add(q, n)
	if attempts, old := state(); attempts != 7 || !old {
		t.Fatalf("the same once more: %d attempts, old %t", attempts, old)
	}
	n.Payload = 4
	w.add(q, n)
	if attempts, old := state(); attempts != 0 || old {
		t.Fatalf("something newer: %d attempts, old %t", attempts, old)
	}
	n.Key = "y"
	if !w.add(q, n) {
		t.Fatal("another key counts as the same")
	}
}

// While one of a key runs another may wait, and does not run beside it, on no
// node.
func TestOneAtATime(t *testing.T) {
	w := open(t)
	var s seen
	var mu sync.Mutex
	at := 0
	let := make(chan struct{})
	k := job.Kind{Name: "k", Workers: 4, Run: func(ctx context.Context, j *job.Job) error {
		mu.Lock()
		at++
		if at > 1 {
			s.add("two at once")
		}
		mu.Unlock()
		s.add("begun")
		select {
		case <-let:
		case <-ctx.Done():
		}
		mu.Lock()
		at--
		mu.Unlock()
		return nil
	}}
	q, _ := w.node(k)
	w.node(k)
	w.add(q, job.New{Kind: "k", Key: "x"})
	w.until("the first runs", func() bool { return len(s.all()) == 1 })
	if !w.add(q, job.New{Kind: "k", Key: "x"}) {
		t.Fatal("none waits beside the one that runs")
	}
	if w.add(q, job.New{Kind: "k", Key: "x"}) {
		t.Fatal("two wait")
	}
	time.Sleep(50 * time.Millisecond)
	close(let)
	w.until("both have run", func() bool { return len(w.list(q, job.Filter{})) == 0 })
	if got := s.all(); len(got) != 2 {
		t.Fatalf("%v", got)
	}
}

// An account does not get more than its share, and does not keep others out.
func TestShare(t *testing.T) {
	w := open(t)
	var mu sync.Mutex
	at, most := map[string]int{}, map[string]int{}
	let := make(chan struct{})
	k := job.Kind{Name: "k", Workers: 4, PerAccount: 2, Run: func(ctx context.Context, j *job.Job) error {
		mu.Lock()
		at[j.Account]++
		most[j.Account] = max(most[j.Account], at[j.Account])
		mu.Unlock()
		select {
		case <-let:
		case <-ctx.Done():
		}
		mu.Lock()
		at[j.Account]--
		mu.Unlock()
		return nil
	}}
	q := job.NewQueue(w.db, nil)
	for i := range 20 {
		w.add(q, job.New{Kind: "k", Account: "many", Key: fmt.Sprint("m", i)})
	}
	w.add(q, job.New{Kind: "k", Account: "one", Key: "o"})
	w.add(q, job.New{Kind: "k", Key: "of the installation"})
	w.node(k)
	w.until("three accounts are at work", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return at["one"] == 1 && at[""] == 1 && at["many"] == 2
	})
	close(let)
	w.until("all is done", func() bool { return len(w.list(q, job.Filter{})) == 0 })
	if most["many"] > 2 {
		t.Fatalf("%d jobs of one account ran at once", most["many"])
	}
}

// What fails is tried again, shows why, and is dead in the end; then it can be
// run again or be cancelled.
func TestFailures(t *testing.T) {
	w := open(t)
	var s seen
	var mu sync.Mutex
	good := false
	k := job.Kind{Name: "k", Attempts: 3, Pause: soon,
		Run: func(context.Context, *job.Job) error {
			mu.Lock()
			defer mu.Unlock()
			if good {
				return nil
			}
			s.add("failed")
			return errors.New("the disk is on fire")
		},
		Changed: func(tx *db.Tx, j *job.Job, state job.State) error {
			_, err := tx.Exec(`INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, "seen", []byte(state))
			return err
		}}
	q, _ := w.node(k)
	told := func() string {
		v, err := db.One[[]byte](t.Context(), w.db, `SELECT value FROM setting WHERE name = 'seen'`)
		if err != nil {
			return ""
		}
		return string(v)
	}
	w.add(q, job.New{Kind: "k", Key: "x", About: "the fire"})
	dead := func() bool {
		jobs := w.list(q, job.Filter{State: job.Dead})
		return len(jobs) == 1 && jobs[0].Error == "the disk is on fire" && jobs[0].Attempts == 3 && jobs[0].About == "the fire"
	}
	w.until("the job is dead", dead)
	if n := len(s.all()); n != 3 || told() != "dead" {
		t.Fatalf("%d attempts, told %q", n, told())
	}
	id := w.list(q, job.Filter{})[0].ID
	retry := func(tx *db.Tx) error {
		j, err := job.Find(tx, id)
		if err != nil {
			return err
		}
		return q.Retry(tx, j)
	}
	w.must(w.change(retry))
	if told() != "waiting" && told() != "dead" { // it may have died again by now
		t.Fatalf("told %q", told())
	}
	w.until("the job is dead again", func() bool { return len(s.all()) == 6 && dead() })
	mu.Lock()
	good = true
	mu.Unlock()
	w.must(w.change(retry))
	w.until("the job is done", func() bool { return len(w.list(q, job.Filter{})) == 0 })
	if err := w.change(retry); fault.CodeOf(err) != fault.JobUnknown {
		t.Fatalf("a job that is gone: %v", err)
	}
}

// Final failures and snoozes are no attempts.
func TestPermanentAndSnooze(t *testing.T) {
	w := open(t)
	var s seen
	q, _ := w.node(job.Kind{Name: "final", Pause: soon, Run: func(context.Context, *job.Job) error { return job.Permanent(errors.New("never")) }},
		job.Kind{Name: "later", Attempts: 2, Run: func(_ context.Context, j *job.Job) error {
			s.add(fmt.Sprint(j.Attempts))
			if len(s.all()) < 5 {
				return job.Snooze(time.Millisecond, "not yet")
			}
			return nil
		}},
		job.Kind{Name: "panics", Attempts: 1, Run: func(context.Context, *job.Job) error { panic("oh") }})
	w.add(q, job.New{Kind: "final", Key: "x"})
	w.add(q, job.New{Kind: "later", Key: "x"})
	w.add(q, job.New{Kind: "panics", Key: "x"})
	w.until("one is done and two are dead", func() bool {
		return len(w.list(q, job.Filter{Kind: "later"})) == 0 && len(w.list(q, job.Filter{State: job.Dead})) == 2
	})
	if got := s.all(); !slices.Equal(got, []string{"1", "1", "1", "1", "1"}) {
		t.Fatalf("attempts %v", got)
	}
	// Accounts see what their jobs failed with: nothing of the program.
	if j := w.list(q, job.Filter{Kind: "panics"})[0]; j.Error == "" || strings.Contains(j.Error, "oh") || strings.Contains(j.Error, ".go") || strings.Contains(j.Error, "goroutine") {
		t.Errorf("a panic is shown as %q", j.Error)
	}
}

// What comes of a job and its end are one: a job that was cancelled meanwhile
// leaves nothing behind.
func TestDone(t *testing.T) {
	w := open(t)
	begun, let := make(chan int64, 1), make(chan struct{})
	result := make(chan error, 1)
	q, _ := w.node(job.Kind{Name: "k", Run: func(ctx context.Context, j *job.Job) error {
		begun <- j.ID
		<-let
		_, err := db.Update(context.WithoutCancel(ctx), w.db, func(tx *db.Tx) (struct{}, error) {
			if _, err := tx.Exec(`INSERT INTO setting (name, value) VALUES ('result', $1)`, []byte("x")); err != nil {
				return struct{}{}, err
			}
			return struct{}{}, j.Done(tx)
		})
		result <- err
		return err
	}})
	w.add(q, job.New{Kind: "k", Key: "x"})
	id := <-begun
	w.must(w.change(func(tx *db.Tx) error {
		j, err := job.Find(tx, id)
		if err != nil {
			return err
		}
		return q.Cancel(tx, j)
	}))
	close(let)
	if err := <-result; !errors.Is(err, job.ErrLost) {
		t.Fatalf("the cancelled job ended with %v", err)
	}
	if _, err := db.One[[]byte](t.Context(), w.db, `SELECT value FROM setting WHERE name = 'result'`); !errors.Is(err, db.ErrNone) {
		t.Fatalf("the cancelled job left something: %v", err)
	}
}

// What runs when the process ends goes on with the next one.
func TestRestart(t *testing.T) {
	w := open(t)
	begun := make(chan int, 10)
	hang := job.Kind{Name: "k", Attempts: 1, Run: func(ctx context.Context, j *job.Job) error {
		begun <- j.Attempts
		<-ctx.Done()
		return ctx.Err()
	}}
	q, stop := w.node(hang)
	w.add(q, job.New{Kind: "k", Key: "x"})
	<-begun
	stop()
	if jobs := w.list(q, job.Filter{}); len(jobs) != 1 || jobs[0].State != job.Waiting || jobs[0].Attempts != 0 || jobs[0].Error != "" {
		t.Fatalf("after the end: %+v", jobs)
	}
	// A process that was killed leaves its claim.
	w.must(w.change(func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE job SET state = 'running', claim = 'killed', due = $1`, tx.Micros()-1)
		return err
	}))
	done := make(chan struct{})
	w.node(job.Kind{Name: "k", Run: func(context.Context, *job.Job) error { close(done); return nil }})
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the job was not taken over")
	}
	w.until("the job is gone", func() bool { return len(w.list(q, job.Filter{})) == 0 })
}

// A job that failed gives way to a newer one of its key.
func TestNewerTakesOver(t *testing.T) {
	w := open(t)
	var s seen
	begun, let := make(chan struct{}), make(chan struct{})
	q, _ := w.node(job.Kind{Name: "k", Pause: soon, Run: func(_ context.Context, j *job.Job) error {
		var v string
		_ = j.Decode(&v) // a text by all means
		s.add(v)
		if v == "old" {
			close(begun)
			<-let
			return errors.New("away")
		}
		return nil
	}})
	w.add(q, job.New{Kind: "k", Key: "x", Payload: "old", Replace: true})
	<-begun
	w.add(q, job.New{Kind: "k", Key: "x", Payload: "older", Replace: true})
	w.add(q, job.New{Kind: "k", Key: "x", Payload: "new", Replace: true})
	close(let)
	w.until("all is done", func() bool { return len(w.list(q, job.Filter{})) == 0 })
	if got := s.all(); !slices.Equal(got, []string{"old", "new"}) {
		t.Fatalf("%v", got)
	}
}

func TestBackoff(t *testing.T) {
	pause := job.Backoff(10*time.Second, time.Hour)
	for attempt, want := range map[int]time.Duration{1: 10 * time.Second, 2: 20 * time.Second, 5: 160 * time.Second, 10: time.Hour, 1000000: time.Hour} {
		if got := pause(attempt); got != want {
			t.Errorf("attempt %d: %s, want %s", attempt, got, want)
		}
	}
}

// Done in a transaction that was rolled back does not count: the queue removes
// the job when Run returns nil.
func TestDoneRolledBack(t *testing.T) {
	w := open(t)
	other := errors.New("something else failed")
	q, _ := w.node(job.Kind{Name: "k", Run: func(ctx context.Context, j *job.Job) error {
		err := w.change(func(tx *db.Tx) error {
			if err := j.Done(tx); err != nil {
				return err
			}
			return other
		})
		if !errors.Is(err, other) {
			return err
		}
		return nil
	}})
	w.add(q, job.New{Kind: "k", Key: "a"})
	w.until("the job is gone", func() bool { return len(w.list(q, job.Filter{})) == 0 })
}

// What becomes due while the queue looks is not passed over until it looks
// again for another reason, which on SQLite may take a minute.
func TestDueDuringALook(t *testing.T) {
	w := open(t)
	pause := 0
	const attempts = 150
	kind := job.Kind{Name: "k",
		Pause: func(int) time.Duration {
			pause = (pause + 37) % 1000
			return time.Duration(pause) * time.Microsecond
		},
		Run: func(_ context.Context, j *job.Job) error {
			if j.Attempts < attempts {
				return errors.New("once more")
			}
			return nil
		},
	}
	// Each kind that is looked for makes a look longer.
	kinds := []job.Kind{kind}
	for i := range 10 {
		kinds = append(kinds, job.Kind{Name: fmt.Sprint("other-", i), Run: func(context.Context, *job.Job) error { return nil }})
	}
	q, _ := w.node(kinds...)
	w.add(q, job.New{Kind: "k", Key: "a"})
	for before, since := -1, time.Now(); ; time.Sleep(20 * time.Millisecond) {
		jobs := w.list(q, job.Filter{})
		if len(jobs) == 0 {
			return
		}
		if n := jobs[0].Attempts; n != before {
			before, since = n, time.Now()
		} else if time.Since(since) > 20*time.Second {
			t.Fatalf("nothing for 20 s after the %dth attempt", n)
		}
	}
}

// Accounts whose jobs are not due take no turns: one behind very many of them is
// served at once.
func TestManyAccountsWait(t *testing.T) {
	w := open(t)
	q := job.NewQueue(w.db, nil)
	w.must(w.change(func(tx *db.Tx) error {
		for i := range 300 {
			if _, err := q.Add(tx, job.New{Kind: "k", Account: fmt.Sprintf("a%03d", i), Key: fmt.Sprint(i), Due: tx.Now().Add(time.Hour)}); err != nil {
				return err
			}
		}
		_, err := q.Add(tx, job.New{Kind: "k", Account: "last", Key: "last"})
		return err
	}))
	done := make(chan struct{})
	w.node(job.Kind{Name: "k", Run: func(context.Context, *job.Job) error { close(done); return nil }})
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the job that is due is not done")
	}
}

// What failed with a code says to accounts what is for them, and not the cause.
func TestCauseIsForTheLog(t *testing.T) {
	w := open(t)
	q, _ := w.node(job.Kind{Name: "k", Attempts: 1, Run: func(context.Context, *job.Job) error {
		return fmt.Errorf("k: %w", fault.Wrap(fault.Unavailable, errors.New("host=10.0.0.9 user=berth"), "Try again later."))
	}})
	w.add(q, job.New{Kind: "k", Key: "x"})
	w.until("the job is dead", func() bool { return len(w.list(q, job.Filter{State: job.Dead})) == 1 })
	if got := w.list(q, job.Filter{})[0].Error; got != "Try again later." {
		t.Errorf("it says %q", got)
	}
}

// How the registry is made is nothing for accounts either.
func TestDefectIsForTheLog(t *testing.T) {
	w := open(t)
	for name, broken := range map[string]func(context.Context, *job.Job) error{
		"statement": func(ctx context.Context, _ *job.Job) error {
			_, err := db.One[int](ctx, w.db, `SELECT secret FROM nowhere`)
			return fmt.Errorf("k: %w", err)
		},
		"file": func(context.Context, *job.Job) error {
			return &fs.PathError{Op: "open", Path: "/srv/secret", Err: fs.ErrNotExist}
		},
		"panic": func(context.Context, *job.Job) error { panic("secret") },
	} {
		q, stop := w.node(job.Kind{Name: name, Attempts: 1, Run: broken})
		w.add(q, job.New{Kind: name, Key: "x"})
		w.until("the job is dead", func() bool { return len(w.list(q, job.Filter{Kind: name, State: job.Dead})) == 1 })
		if got := w.list(q, job.Filter{Kind: name})[0].Error; got != "something in this registry broke; its log has more" {
			t.Errorf("%s: it says %q", name, got)
		}
		stop()
	}
}

// A job that ends the process each time is put aside in the end, and the server
// lives.
func TestKillsTheServer(t *testing.T) {
	w := open(t)
	q := job.NewQueue(w.db, nil)
	w.add(q, job.New{Kind: "k", Key: "x"})
	w.must(w.change(func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE job SET state = 'running', claim = 'killed', attempts = 22, due = $1`, tx.Micros()-1)
		return err
	}))
	var s seen
	w.node(job.Kind{Name: "k", Attempts: 2, Run: func(context.Context, *job.Job) error { s.add("again"); return nil }})
	w.until("the job is dead", func() bool { return len(w.list(q, job.Filter{State: job.Dead})) == 1 })
	if n := len(s.all()); n > 0 {
		t.Errorf("it was tried %d times more", n)
	}
}

// A dead job that is retried where another one waits goes, and nobody is told
// that it waits.
func TestRetryBesideAnother(t *testing.T) {
	w := open(t)
	var s seen
	q, stop := w.node(job.Kind{Name: "k", Run: func(context.Context, *job.Job) error { return job.Permanent(errors.New("never")) },
		Changed: func(tx *db.Tx, _ *job.Job, state job.State) error {
			tx.AfterCommit(func() { s.add(string(state)) })
			return nil
		}})
	w.add(q, job.New{Kind: "k", Key: "x"})
	w.until("the job is dead", func() bool { return len(w.list(q, job.Filter{State: job.Dead})) == 1 })
	stop()
	id := w.list(q, job.Filter{})[0].ID
	w.add(q, job.New{Kind: "k", Key: "x"})
	w.must(w.change(func(tx *db.Tx) error {
		j, err := job.Find(tx, id)
		if err != nil {
			return err
		}
		return q.Retry(tx, j)
	}))
	if jobs, told := w.list(q, job.Filter{}), s.all(); len(jobs) != 1 || jobs[0].ID == id || !slices.Equal(told, []string{"dead"}) {
		t.Errorf("%d jobs, told %v", len(jobs), told)
	}
}
