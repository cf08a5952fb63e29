package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/retention"
)

// act turns events into jobs and does what is due of those of the kinds.
func (w *world) act(kinds ...string) {
	w.t.Helper()
	if len(kinds) == 0 {
		kinds = []string{registry.KindRetention}
	}
	w.must(w.ExpandEvents(w.ctx))
	q := job.NewQueue(w.db, nil)
	for _, k := range w.Kinds() {
		if slices.Contains(kinds, k.Name) {
			q.Register(k)
		}
	}
	ctx, stop := context.WithCancel(w.ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := q.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		now, err := db.View(w.ctx, w.db, func(tx *db.Tx) (int64, error) { return tx.Micros(), nil })
		w.must(err)
		n := int64(0)
		for _, k := range kinds {
			n += w.number(fmt.Sprintf(`SELECT count(*) FROM job WHERE kind = '%s' AND (state = 'running' OR state = 'waiting' AND due <= %d)`, k, now))
		}
		if n == 0 {
			break
		}
		if time.Now().After(end) {
			w.t.Error("jobs do not end")
			break
		}
	}
	stop()
	running.Wait()
}

// waiting counts the jobs of retention that wait or run.
func (w *world) waiting() int64 {
	return w.number(`SELECT count(*) FROM job WHERE kind = 'retention' AND state <> 'dead'`)
}

// age has a tag be so old.
func (w *world) age(name oci.Name, tag string, ago time.Duration) {
	w.t.Helper()
	_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) {
		return tx.Exec(`UPDATE tag SET updated = $1 WHERE name = $2 AND repository = (SELECT id FROM repository WHERE path = $3)`, tx.Micros()-ago.Microseconds(), tag, string(name))
	})
	w.must(err)
}

// A tag that is pushed again as it is was pushed: it begins anew. Its time is
// written once an hour.
func TestPushedAgainTheAgeBeginsAnew(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	image := w.image(app, "nightly", 10)
	push := func(tag string) {
		_, err := w.PutManifest(w.ctx, w.admin, app, tagRef(tag), nil, imageType, image)
		w.must(err)
	}
	updated := func() int64 {
		n, err := db.One[int64](w.ctx, w.db, `SELECT updated FROM tag WHERE name = 'nightly'`)
		w.must(err)
		return n
	}
	push("nightly")
	push("other")
	w.age(app, "nightly", 40*day)
	w.age(app, "other", 40*day)
	push("nightly")
	now := updated()
	if ago := time.Since(time.UnixMicro(now)); ago > time.Hour {
		t.Fatalf("it was pushed %s ago", ago)
	}
	push("nightly")
	w.age(app, "nightly", 30*time.Minute)
	now = updated()
	push("nightly")
	if updated() != now {
		t.Error("the time is written with every push")
	}
	_, err := w.CreateRetention(w.ctx, w.admin, app, retention.Policy{Rules: []retention.Rule{byAge(30)}})
	w.must(err)
	w.act()
	if got := w.tagsOf(app); got != "nightly" {
		t.Errorf("%s stay", got)
	}
}

// tagsOf lists a repository's tags.
func (w *world) tagsOf(name oci.Name) string {
	w.t.Helper()
	p, err := w.Tags(w.ctx, w.admin, name, "", 10000)
	w.must(err)
	return strings.Join(p.Items, " ")
}

// logOf lists what the retention log has, the newest first.
func (w *world) logOf(name oci.Name) string {
	w.t.Helper()
	list, total, err := w.Retained(w.ctx, w.admin, name, 0, 10000)
	w.must(err)
	if int(total) != len(list) {
		w.t.Errorf("%d entries of %d", len(list), total)
	}
	names := make([]string, len(list))
	for i, x := range list {
		names[i] = x.Tag
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (w *world) hasTags(name oci.Name, want string) {
	w.t.Helper()
	if got := w.tagsOf(name); got != want {
		w.t.Fatalf("%s has the tags %q, want %q", name, got, want)
	}
}

const day = retention.Day

func number(n int, except ...retention.Selector) retention.Rule {
	return retention.Rule{Template: retention.ByNumber, N: n, Except: append([]retention.Selector{}, except...)}
}

func byAge(n int, except ...retention.Selector) retention.Rule {
	return retention.Rule{Template: retention.ByAge, N: n, Except: append([]retention.Selector{}, except...)}
}

func policyOf(r ...retention.Rule) retention.Policy { return retention.Policy{Rules: r} }

func regex(s string) retention.Selector {
	return retention.Selector{Kind: retention.Regexp, Pattern: s}
}

// A policy acts when it is made, when it is changed and after pushes, and the
// log and each tag's history say why.
func TestRetentionActs(t *testing.T) {
	w := open(t, registry.Options{})
	const app oci.Name = "acme/app"
	for i := range 6 {
		w.push(app, fmt.Sprintf("v%d", i), w.image(app, fmt.Sprint("seed", i), 100))
	}
	w.push(app, "same-as-v0", w.image(app, "seed0", 100))
	w.age(app, "v0", 40*day)
	w.age(app, "v1", 35*day)
	w.age(app, "release-1", 35*day)
	id, err := w.CreateRetention(w.ctx, w.admin, app, policyOf(byAge(30)))
	w.must(err)
	w.act()
	w.hasTags(app, "same-as-v0 v2 v3 v4 v5")
	if got := w.logOf(app); got != "v0 v1" {
		t.Errorf("the log has %s", got)
	}
	h, err := w.History(w.ctx, w.admin, app, "v1", 0, 10)
	w.must(err)
	last := h.Items[0]
	var why registry.Explanation
	w.must(json.Unmarshal([]byte(last.Detail), &why))
	if last.Cause != "retention" || last.Actor != "system:retention" || last.Digest != "" || last.Previous == "" || why.Policy != id || why.Rule != 0 || why.N != 30 ||
		why.Template != retention.ByAge || why.Age != int64(35*day/time.Second) || why.Rank != 0 || why.Tags != 7 || why.Run != "created" {
		t.Errorf("%+v, %+v", last, why)
	}

	w.must(w.UpdateRetention(w.ctx, w.admin, app, id, policyOf(number(3, regex("^same")))))
	w.act()
	w.hasTags(app, "same-as-v0 v3 v4 v5")
	w.push(app, "v6", w.image(app, "seed6", 100))
	w.must(w.Retag(w.ctx, w.admin, app, "v3", "v3-again", false))
	w.act()
	w.hasTags(app, "same-as-v0 v3-again v5 v6")
	w.push(app, "v5", w.image(app, "seed7", 100)) // over one that is there
	w.act()
	w.hasTags(app, "same-as-v0 v3-again v5 v6")
	if got := w.logOf(app); got != "v0 v1 v2 v3 v4" {
		t.Errorf("the log has %s", got)
	}
	h, err = w.History(w.ctx, w.admin, app, "v3", 0, 10)
	w.must(err)
	w.must(json.Unmarshal([]byte(h.Items[0].Detail), &why))
	if why.Rank != 5 && why.Rank != 4 || why.Run != "push" || why.N != 3 {
		t.Errorf("%+v", why)
	}
	s, err := w.RetentionStatus(w.ctx, w.admin, app, id)
	w.must(err)
	if s.State != registry.RetentionIdle || s.RemovedAll != 5 || s.Removed == 0 || s.Acted.IsZero() || s.Looked.IsZero() || s.Error != "" || s.Next.Hour() != 0 {
		t.Errorf("%+v", s)
	}
	w.must(w.DeleteRetention(w.ctx, w.admin, app, id))
	w.push(app, "v8", w.image(app, "seed8", 100))
	w.act()
	w.hasTags(app, "same-as-v0 v3-again v5 v6 v8")
}

// A push makes a job only where a tag can go by it.
func TestRetentionAfterPushIsCheap(t *testing.T) {
	w := open(t, registry.Options{})
	const app oci.Name = "acme/app"
	pushed := 0
	push := func() {
		t.Helper()
		w.push(app, fmt.Sprintf("v%03d", pushed), w.image(app, "same", 100))
		pushed++
		w.must(w.ExpandEvents(w.ctx))
	}
	push()
	id, err := w.CreateRetention(w.ctx, w.admin, app, policyOf(number(3), byAge(30)))
	w.must(err)
	w.act()
	push()
	push()
	if n := w.waiting(); n != 0 {
		t.Fatalf("%d jobs with three tags of three", n)
	}
	push()
	push()
	if n := w.waiting(); n != 1 {
		t.Fatalf("%d jobs after two tags too many", n)
	}
	w.act()
	w.hasTags(app, "v002 v003 v004")

	// By age: only when one has come of age since the last run.
	w.must(w.UpdateRetention(w.ctx, w.admin, app, id, policyOf(byAge(30))))
	w.act()
	push()
	if n := w.waiting(); n != 0 {
		t.Fatalf("%d jobs, and no tag has come of age", n)
	}
	w.age(app, "v003", 30*day+time.Millisecond)
	push()
	if n := w.waiting(); n != 1 {
		t.Fatalf("%d jobs, and one tag has come of age", n)
	}
	w.act()
	w.hasTags(app, "v002 v004 v005 v006")
}

// A run after a push reads what it needs: the newest tags and as many as stay,
// however many exceptions are older.
func TestRetentionReadsWhatItNeeds(t *testing.T) {
	w := open(t, registry.Options{})
	const app oci.Name = "acme/app"
	w.push(app, "v0", w.image(app, "same", 100))
	w.exec(`INSERT INTO tag (repository, name, manifest, created, updated)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
		SELECT t.repository, 'keep-' || CAST(n.i AS TEXT), t.manifest, t.created, t.updated - n.i FROM n CROSS JOIN tag t WHERE t.name = 'v0'`)
	w.exec(`UPDATE repository SET tags = tags + 5000`)
	w.exec(`UPDATE usage SET images = images + 5000 WHERE day = 0 AND stripe = (SELECT min(stripe) FROM usage WHERE day = 0)`)
	w.exec(`UPDATE tag SET updated = updated - 3600000000`)
	_, err := w.CreateRetention(w.ctx, w.admin, app, policyOf(number(2, regex("^keep-")), byAge(365)))
	w.must(err)
	w.act()
	if n, err := w.WouldRead(w.ctx, app); err != nil || n != 1 {
		t.Errorf("after the first run %d tags are read: %v", n, err)
	}
	for i := range 5 {
		w.push(app, fmt.Sprintf("w%d", i), w.image(app, "same", 100))
	}
	if n, err := w.WouldRead(w.ctx, app); err != nil || n != 6 {
		t.Errorf("after five pushes %d tags are read: %v", n, err)
	}
	w.act()
	if n := w.number(`SELECT tags FROM repository`); n != 5002 {
		t.Errorf("%d tags are left", n)
	}
	w.exec(`DELETE FROM tag WHERE name LIKE 'keep-%'`)
	w.exec(`UPDATE repository SET tags = tags - 5000`)
	w.exec(`UPDATE usage SET images = images - 5000 WHERE day = 0 AND stripe = (SELECT min(stripe) FROM usage WHERE day = 0)`)
	w.hasTags(app, "w3 w4")
}

// Of many tags all go that should, in order, in whatever steps; a run that is
// broken off goes on, with the same ranks, and nothing stands in the log twice.
func TestRetentionGoesOn(t *testing.T) {
	w := open(t, registry.Options{})
	const app oci.Name = "acme/app"
	const tags, stay = 430, 7
	w.many(app, tags)
	_, err := w.CreateRetention(w.ctx, w.admin, app, policyOf(number(stay)))
	w.must(err)
	run := w.Kinds()[0].Run
	attempts := 0
	for i := 0; ; i++ {
		if i == 40 {
			t.Fatal("it never ends")
		}
		// Each attempt is broken off after its second transaction, as if the
		// process had ended there, and claimed again by another.
		w.exec(fmt.Sprintf(`UPDATE job SET due = 0, claim = 'other%d' WHERE state = 'running'`, i))
		if w.waiting() == 0 {
			break
		}
		attempts++
		q := job.NewQueue(w.db, nil)
		attempt, ended := make(chan struct{}), make(chan struct{})
		kind := w.Kinds()[0]
		kind.Run = func(ctx context.Context, j *job.Job) error {
			defer close(attempt)
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			go func() {
				defer stop()
				before := w.number(`SELECT count(*) FROM tag`)
				for ctx.Err() == nil && w.number(`SELECT count(*) FROM tag`) > before-60 {
					time.Sleep(time.Millisecond)
				}
			}()
			if err := run(ctx, j); err != nil {
				return job.Snooze(0, "broken off")
			}
			return nil
		}
		q.Register(kind)
		ctx, stop := context.WithCancel(w.ctx)
		go func() { defer close(ended); _ = q.Run(ctx) }()
		<-attempt
		stop()
		<-ended
	}
	if n := w.number(`SELECT count(*) FROM tag`); n != stay || attempts < 3 {
		t.Logf("%d attempts", attempts)
		t.Fatalf("%d tags are left", n)
	}
	h, err := w.History(w.ctx, w.admin, app, "", 0, 10000)
	w.must(err)
	ranks := map[int]string{}
	for _, e := range h.Items {
		if e.Cause != "retention" {
			continue
		}
		var why registry.Explanation
		w.must(json.Unmarshal([]byte(e.Detail), &why))
		if ranks[why.Rank] != "" {
			t.Errorf("%s and %s had the rank %d", ranks[why.Rank], e.Tag, why.Rank)
		}
		if ranks[why.Rank] = e.Tag; e.Tag != fmt.Sprintf("t%04d", tags-why.Rank) {
			t.Errorf("%s had the rank %d", e.Tag, why.Rank)
		}
	}
	if len(ranks) != tags-stay {
		t.Errorf("%d tags have a history of %d", len(ranks), tags-stay)
	}
	if n := w.number(`SELECT count(*) FROM retention_log`); n != tags-stay {
		t.Errorf("%d entries in the log", n)
	}
	if n := w.number(`SELECT count(DISTINCT tag) FROM retention_log`); n != tags-stay {
		t.Errorf("%d tags in the log", n)
	}
}

// many makes a repository of one image with tags t0000, t0001, …, each a
// second newer than the one before, the last one an hour old.
func (w *world) many(name oci.Name, n int) {
	w.t.Helper()
	w.push(name, "t0000", w.image(name, "many", 100))
	_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) {
		repo, err := db.One[int64](tx.Context(), tx, `SELECT id FROM repository WHERE path = $1`, string(name))
		if err != nil {
			return 0, err
		}
		account, err := db.One[string](tx.Context(), tx, `SELECT account FROM repository WHERE id = $1`, repo)
		if err != nil {
			return 0, err
		}
		if _, err := tx.Exec(`UPDATE tag SET updated = $2 WHERE repository = $1`, repo, tx.Micros()-time.Hour.Microseconds()-int64(n-1)*1e6); err != nil {
			return 0, err
		}
		if _, err := tx.Exec(`INSERT INTO tag (repository, name, manifest, created, updated)
			WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $2)
			SELECT t.repository, 't' || substr(CAST(10000 + n.i AS TEXT), 2), t.manifest, t.created, t.updated + n.i * 1000000 FROM n CROSS JOIN tag t WHERE t.repository = $1`, repo, n-1); err != nil {
			return 0, err
		}
		if _, err := tx.Exec(`UPDATE repository SET tags = tags + $2 WHERE id = $1`, repo, n-1); err != nil {
			return 0, err
		}
		return tx.Exec(`UPDATE usage SET images = images + $2 WHERE account = $1 AND stripe = (SELECT min(stripe) FROM usage WHERE account = $1)`, account, n-1)
	})
	w.must(err)
}

// What was pushed, moved or deleted after a run looked at it stays as it is.
func TestRetentionNeverTakesWhatWasPushed(t *testing.T) {
	w := open(t, registry.Options{})
	const app oci.Name = "acme/app"
	const tags = 300
	w.many(app, tags)
	other := w.image(app, "other", 50)
	_, err := w.CreateRetention(w.ctx, w.admin, app, policyOf(number(100))) // more than are pushed
	w.must(err)
	var pushes sync.WaitGroup
	var mu sync.Mutex
	pushed := map[string]bool{}
	begun := w.number(`SELECT count(*) FROM tag`)
	for worker := range 3 {
		pushes.Go(func() {
			for i := worker; i < tags-1; i += 12 {
				name := fmt.Sprintf("t%04d", i)
				if _, err := w.PutManifest(w.ctx, w.admin, app, tagRef(name), nil, imageType, other); err != nil {
					t.Error(err)
				}
				mu.Lock()
				pushed[name] = true
				mu.Unlock()
			}
		})
	}
	// The pushes wait in the outbox: only the first run acts.
	q := job.NewQueue(w.db, nil)
	q.Register(w.Kinds()...)
	ctx, stop := context.WithCancel(w.ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = q.Run(ctx) }()
	pushes.Wait()
	for end := time.Now().Add(30 * time.Second); w.number(`SELECT count(*) FROM job WHERE kind = 'retention'`) > 0 && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
	stop()
	<-ended
	left := map[string]bool{}
	for _, name := range strings.Fields(w.tagsOf(app)) {
		left[name] = true
	}
	for name := range pushed {
		if !left[name] {
			t.Errorf("%s was pushed and is gone", name)
		}
	}
	if len(left) == int(begun) {
		t.Error("nothing went")
	}
}

// A policy that is changed while a run of the old one is under way: that run
// removes nothing more.
func TestRetentionStopsWithItsPolicy(t *testing.T) {
	w := open(t, registry.Options{})
	const app oci.Name = "acme/app"
	w.many(app, 200)
	id, err := w.CreateRetention(w.ctx, w.admin, app, policyOf(number(1)))
	w.must(err)
	kind := w.Kinds()[0]
	run := kind.Run
	done := make(chan error, 1)
	kind.Run = func(ctx context.Context, j *job.Job) error {
		found := make(chan struct{})
		go func() {
			defer close(found)
			for w.number(`SELECT count(*) FROM tag`) == 200 {
				time.Sleep(time.Millisecond)
			}
			done <- w.UpdateRetention(w.ctx, w.admin, app, id, policyOf(number(1000)))
		}()
		err := run(ctx, j)
		<-found
		return err
	}
	q := job.NewQueue(w.db, nil)
	q.Register(kind)
	ctx, stop := context.WithCancel(w.ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = q.Run(ctx) }()
	w.must(<-done)
	left := w.number(`SELECT count(*) FROM tag`)
	stop()
	<-ended
	if left < 2 || left == 200 {
		t.Fatalf("%d tags were left when the policy changed", left)
	}
	w.act()
	if n := w.number(`SELECT count(*) FROM tag`); n != left {
		t.Errorf("%d tags, and %d when the policy changed", n, left)
	}
}

// With the account's guard a policy whose first run would remove most of the
// repository waits, and is a first one again when it is changed.
func TestRetentionGuard(t *testing.T) {
	w := open(t, registry.Options{})
	const app oci.Name = "acme/app"
	guard := true
	_, err := w.ChangeSettings(w.ctx, w.admin, registry.SettingsPatch{RetentionGuard: &guard})
	w.must(err)
	w.many(app, 10)
	id, err := w.CreateRetention(w.ctx, w.admin, app, policyOf(number(5)))
	w.must(err)
	w.act()
	if n := w.number(`SELECT count(*) FROM tag`); n != 5 {
		t.Fatalf("%d tags: a half may go at once", n)
	}
	w.must(w.UpdateRetention(w.ctx, w.admin, app, id, policyOf(number(2))))
	w.act()
	shown, err := w.Retention(w.ctx, w.admin, app, id)
	w.must(err)
	status, err := w.RetentionStatus(w.ctx, w.admin, app, id)
	w.must(err)
	if n := w.number(`SELECT count(*) FROM tag`); n != 5 || !shown.Waits || shown.WouldDelete != 3 || shown.WouldSee != 5 || status.State != registry.RetentionWaits || status.WouldDelete != 3 {
		t.Fatalf("%d tags, %+v, %+v", n, shown, status)
	}
	// Neither a push nor the night lets it go.
	w.push(app, "new", w.image(app, "new", 100))
	w.exec(`DELETE FROM job`)
	w.must(w.DailyNow(w.ctx))
	w.act("retention-daily", registry.KindRetention)
	if n := w.number(`SELECT count(*) FROM tag`); n != 6 {
		t.Fatalf("%d tags are left of those that wait", n)
	}
	w.must(w.UpdateRetention(w.ctx, w.admin, app, id, policyOf(number(4))))
	w.act()
	if shown, err = w.Retention(w.ctx, w.admin, app, id); err != nil || shown.Waits {
		t.Fatalf("%+v, %v", shown, err)
	}
	if n := w.number(`SELECT count(*) FROM tag`); n != 4 {
		t.Fatalf("%d tags after the change", n)
	}
	w.must(w.UpdateRetention(w.ctx, w.admin, app, id, policyOf(number(1))))
	w.act()
	w.must(w.ConfirmRetention(w.ctx, w.admin, app, id))
	w.must(w.ConfirmRetention(w.ctx, w.admin, app, id))
	w.act()
	w.hasTags(app, "new")
	w.want(w.ConfirmRetention(w.ctx, w.admin, app, id+1), "rule_unknown")
	w.want(w.ConfirmRetention(w.ctx, w.nobody, app, id), "denied")
}

// Expressions that take too long let nothing go, and the failure is seen.
func TestRetentionTakesTooLong(t *testing.T) {
	w := open(t, registry.Options{Retention: retention.Limits{Time: time.Millisecond}})
	const app oci.Name = "acme/app"
	w.many(app, 400)
	r := number(1)
	for i := range retention.MaxSelectors {
		r.Except = append(r.Except, regex(fmt.Sprintf(`(.*){1,%d}(x|y)z%d$`, 20+i%5, i)))
	}
	id, err := w.CreateRetention(w.ctx, w.admin, app, policyOf(r))
	w.must(err)
	w.act()
	if n := w.number(`SELECT count(*) FROM tag`); n != 400 {
		t.Fatalf("%d tags are left", n)
	}
	s, err := w.RetentionStatus(w.ctx, w.admin, app, id)
	w.must(err)
	if s.State != registry.RetentionFailed || !strings.Contains(s.Error, "take too long") {
		t.Errorf("%+v", s)
	}
	w.push(app, "new", w.image(app, "new", 100))
	w.must(w.ExpandEvents(w.ctx))
	if n := w.waiting(); n != 0 {
		t.Errorf("%d jobs for a policy that cannot be compared", n)
	}
	w.must(w.UpdateRetention(w.ctx, w.admin, app, id, policyOf(number(2))))
	w.act()
	w.hasTags(app, "new t0399")
}

// A run that fails removes nothing of what it had in hand, says so, and is made
// again.
func TestRetentionFails(t *testing.T) {
	w := open(t, registry.Options{})
	for i := range 3 {
		w.push(app, fmt.Sprintf("v%d", i), w.image(app, fmt.Sprint(i), 10))
	}
	w.exec(`CREATE TABLE holds (tag BIGINT NOT NULL REFERENCES tag(id))`)
	w.exec(`INSERT INTO holds SELECT id FROM tag WHERE name = 'v0'`)
	id, err := w.CreateRetention(w.ctx, w.admin, app, policyOf(number(1)))
	w.must(err)
	w.act()
	w.hasTags(app, "v0 v1 v2")
	s, err := w.RetentionStatus(w.ctx, w.admin, app, id)
	w.must(err)
	if s.State != registry.RetentionFailed || s.Error == "" || strings.Contains(s.Error, "holds") || !s.Next.After(time.Now()) || s.Next.After(time.Now().Add(time.Minute)) || !s.Looked.IsZero() {
		t.Errorf("%+v", s)
	}
	w.exec(`DELETE FROM holds`)
	w.exec(`UPDATE job SET due = 0`)
	w.act()
	w.hasTags(app, "v2")
	if s, err = w.RetentionStatus(w.ctx, w.admin, app, id); err != nil || s.State != registry.RetentionIdle || s.Error != "" || s.Removed != 2 {
		t.Errorf("%+v, %v", s, err)
	}

	// One that is put aside says so until the policy has looked again.
	w.exec(`INSERT INTO job (kind, account, key, about, payload, state, attempts, due, claim, error, created, updated)
		SELECT 'retention', account, CAST(id AS TEXT), path, '{}', 'dead', 1, 0, '', 'broken', 0, $1 FROM repository`, time.Now().Add(time.Second).UnixMicro())
	if s, err = w.RetentionStatus(w.ctx, w.admin, app, id); err != nil || s.State != registry.RetentionFailed || s.Error != "broken" {
		t.Errorf("%+v, %v", s, err)
	}
	w.exec(`UPDATE job SET updated = 0`)
	if s, err = w.RetentionStatus(w.ctx, w.admin, app, id); err != nil || s.State != registry.RetentionIdle || s.Error != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

// Those who wait for what retention does are told, once for some tags together.
func TestRetentionEvents(t *testing.T) {
	w := open(t, registry.Options{})
	const app oci.Name = "acme/app"
	w.many(app, 60)
	w.exec(fmt.Sprintf(`UPDATE organization SET watched = %d`, event.Retention))
	_, err := w.CreateRetention(w.ctx, w.admin, app, policyOf(number(5)))
	w.must(err)
	w.act()
	details, err := db.All[string](w.ctx, w.db, `SELECT detail FROM event WHERE kind = 'retention' AND path = 'acme/app' AND actor = 'system:retention' ORDER BY id`)
	w.must(err)
	n := 0
	for _, text := range details {
		var d registry.RetentionDetail
		w.must(json.Unmarshal([]byte(text), &d))
		if n += len(d.Tags); d.Policy == 0 || d.Tags[0].Digest == "" || d.Run != "created" {
			t.Errorf("%s", text)
		}
	}
	if n != 55 || len(details) != 2 {
		t.Errorf("%d tags in %d events", n, len(details))
	}
}

// The daily job queues a run for each policy once, and its own successor at the
// next midnight.
func TestRetentionDaily(t *testing.T) {
	w := open(t, registry.Options{})
	const repos = 230 // more than one transaction queues
	for i := range repos {
		name := oci.Name(fmt.Sprintf("acme/r%03d", i))
		w.repo(name)
		_, err := w.CreateRetention(w.ctx, w.admin, name, policyOf(byAge(30)))
		w.must(err)
	}
	w.exec(`DELETE FROM job`)
	w.push("acme/r000", "old", w.image("acme/r000", "a", 100))
	w.push("acme/r000", "new", w.image("acme/r000", "b", 100))
	w.must(w.ExpandEvents(w.ctx))
	w.exec(`DELETE FROM job`)
	w.exec(`UPDATE repo_retention SET looked = 1`) // as if they had run in another year
	w.age("acme/r000", "old", 31*day)

	w.must(w.Schedule(w.ctx))
	w.must(w.Schedule(w.ctx))
	due := w.number(`SELECT due FROM job WHERE kind = 'retention-daily'`)
	next := time.UnixMicro(due).UTC()
	if left := time.Until(next); left <= 0 || left > 24*time.Hour || next.Truncate(24*time.Hour) != next {
		t.Fatalf("the first daily run is at %s", next)
	}
	w.must(w.DailyNow(w.ctx)) // as if it were midnight, or the server had been away for days
	w.act("retention-daily")
	if n := w.waiting(); n != repos {
		t.Fatalf("%d jobs for %d policies", n, repos)
	}
	if due := w.number(`SELECT due FROM job WHERE kind = 'retention-daily' AND state = 'waiting'`); due != next.UnixMicro() && due != next.Add(24*time.Hour).UnixMicro() {
		t.Errorf("the next daily run is at %s", time.UnixMicro(due).UTC())
	}
	w.act()
	w.hasTags("acme/r000", "new")
	w.must(w.DailyNow(w.ctx))
	w.act("retention-daily")
	if n := w.waiting(); n != 0 {
		t.Errorf("%d jobs, and all have looked today", n)
	}
}

// A node that starts while the daily job is under way leaves it to that job to
// queue the next: beside one that waits until tomorrow it would not be tried
// again today where it fails.
func TestRetentionDailyIsUnderWay(t *testing.T) {
	w := open(t, registry.Options{})
	w.must(w.DailyNow(w.ctx))
	w.exec(`UPDATE job SET state = 'running', claim = 'another', due = due + $1`, time.Now().Add(time.Hour).UnixMicro())
	w.must(w.Schedule(w.ctx))
	if n := w.number(`SELECT count(*) FROM job`); n != 1 {
		t.Fatalf("%d daily jobs", n)
	}
	w.exec(`UPDATE job SET due = 0`) // the other node is gone
	w.act("retention-daily")
	if due := time.UnixMicro(w.number(`SELECT due FROM job WHERE state = 'waiting'`)); time.Until(due) <= 0 || time.Until(due) > 24*time.Hour {
		t.Errorf("the next is at %s", due)
	}
}

func TestNextMidnight(t *testing.T) {
	for at, want := range map[string]string{
		"2026-03-01T00:00:00Z": "2026-03-02", "2026-02-28T23:59:59.999999Z": "2026-03-01", "2024-02-28T12:00:00Z": "2024-02-29",
		"2026-12-31T23:00:00-02:00": "2027-01-02", "2026-03-29T02:30:00+02:00": "2026-03-30",
	} {
		when, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := registry.NextMidnight(when); got.Format(time.RFC3339) != want+"T00:00:00Z" {
			t.Errorf("after %s: %s, want %s", at, got, want)
		}
	}
}

// A tag comes of age across midnight UTC: the run before leaves it, the one
// after it takes it.
func TestRetentionAcrossMidnight(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 3, 31, 23, 59, 0, 0, time.UTC)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	w := build(t, registry.Options{}, func(d blob.Driver) blob.Driver { return d }, func(o *db.Options) { o.Now = clock })
	const app oci.Name = "acme/app"
	w.push(app, "a", w.image(app, "a", 100))
	w.push(app, "b", w.image(app, "b", 100))
	at := func(tag string, when time.Time) {
		w.exec(fmt.Sprintf(`UPDATE tag SET updated = %d WHERE name = '%s'`, when.UnixMicro(), tag))
	}
	at("a", time.Date(2026, 3, 1, 23, 59, 30, 0, time.UTC)) // 30 days are over half a minute after the first run
	at("b", time.Date(2026, 3, 2, 0, 5, 0, 0, time.UTC))
	_, err := w.CreateRetention(w.ctx, w.admin, app, policyOf(byAge(30)))
	w.must(err)
	w.act()
	w.hasTags(app, "a b")
	mu.Lock()
	now = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	mu.Unlock()
	w.must(w.DailyNow(w.ctx))
	w.act("retention-daily", registry.KindRetention)
	w.hasTags(app, "b")
	if due := w.number(`SELECT due FROM job WHERE kind = 'retention-daily'`); time.UnixMicro(due).UTC() != time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC) {
		t.Errorf("the next is at %s", time.UnixMicro(due).UTC())
	}
	mu.Lock()
	now = time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC)
	mu.Unlock()
	w.act("retention-daily", registry.KindRetention)
	w.hasTags(app, "")
}
