package registry_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// A history of BERTH_SEED events (5,000 by default), of which one in ten can be
// undone, is listed page by page; how long that takes is logged.
func TestLongHistory(t *testing.T) {
	t.Parallel()
	events := 5000
	if s := os.Getenv("BERTH_SEED"); s != "" {
		events, _ = strconv.Atoi(s)
	}
	w := open(t, inTime)
	d := w.push(app, "keep", w.image(app, "keep", 10))
	start := moment()
	const step = 10_000
	for from := 0; from < events; from += step {
		_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) {
			const numbers = `WITH RECURSIVE n (i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2) `
			if _, err := tx.Exec(numbers+`INSERT INTO tag_event (repository, tag, digest, previous, actor, cause, created)
				SELECT r.id, 't' || CAST(i % $5 AS TEXT), $3, '', 'seed', 'push', $4 + i FROM n CROSS JOIN repository r`, from, min(from+step, events), string(d), start.UnixMicro(), max(events/20, 1)); err != nil {
				return 0, err
			}
			return tx.Exec(numbers+`INSERT INTO deleted_tag (repository, name, digest, actor, cause, removed, expires)
				SELECT r.id, 'd' || CAST(i AS TEXT), $3, 'seed', 'delete', $4 + i / 7, $4 + 3600000000 FROM n CROSS JOIN repository r WHERE i % 10 = 0`, from, min(from+step, events), string(d), start.UnixMicro())
		})
		w.must(err)
	}
	if os.Getenv("BERTH_SEED") != "" && !w.db.Exact() {
		_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) { return tx.Exec(`ANALYZE`) })
		w.must(err)
	}
	took := func(what string, do func()) {
		at := time.Now()
		do()
		t.Logf("%-40s %s", what, time.Since(at))
	}
	page := func(q registry.DeletedQuery) (n int, next string) {
		list, next, err := w.DeletedTags(w.ctx, w.admin, app, q, 100)
		w.must(err)
		return len(list), next
	}
	took("first page of deleted tags", func() { page(registry.DeletedQuery{}) })
	took("the same by a name that many have", func() { page(registry.DeletedQuery{Contains: "D"}) })
	took("by a name that one has", func() {
		if n, _ := page(registry.DeletedQuery{Contains: "d" + strconv.Itoa((events-1)/10*10)}); n == 0 {
			t.Error("it is not found")
		}
	})
	seen := 0
	took("all pages", func() {
		for q, n := (registry.DeletedQuery{}), 0; ; {
			n, q.After = page(q)
			if seen += n; q.After == "" {
				return
			}
		}
	})
	if seen != (events+9)/10 {
		t.Errorf("%d of %d deleted tags were listed", seen, (events+9)/10)
	}
	var h registry.Page[registry.TagEvent]
	var err error
	took("first page of the history", func() { h, err = w.History(w.ctx, w.admin, app, "", 0, 100) })
	w.must(err)
	took("a page in it", func() { _, err = w.History(w.ctx, w.admin, app, "", h.Items[99].ID-int64(events)/2, 100) })
	w.must(err)
	took("the history of one tag", func() { h, err = w.History(w.ctx, w.admin, app, "t1", 0, 100) })
	w.must(err)
	if len(h.Items) == 0 {
		t.Error("it has none")
	}
	time.Sleep(time.Until(start.Add(time.Duration(events) * time.Microsecond))) // that is how far the events go
	took("plan of a rollback by a pattern", func() {
		_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: start, Pattern: "^t1", DryRun: true})
		if err != nil && !strings.Contains(err.Error(), "narrow the pattern") {
			w.must(err)
		}
		_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: start, Pattern: "^t1$", DryRun: true})
	})
	w.must(err)
	took("restore", func() {
		_, err = w.RestoreTag(w.ctx, w.admin, app, "d0", "", false)
	})
	w.must(err)
	if w.tags(app)["d0"] != d {
		t.Error("it is not there")
	}
}

// What waited before there was the list is in it after the migration.
func TestDeletedTagsOfOlderDatabases(t *testing.T) {
	t.Parallel()
	w := open(t, inTime)
	one, two := w.image(app, "one", 10), w.image(app, "two", 10)
	for _, body := range [][]byte{one, two, one, two} {
		w.push(app, "v", body)
		w.push(app, "w", body)
	}
	w.must(w.DeleteTag(w.ctx, w.admin, app, "w"))
	w.must(w.DeleteManifest(w.ctx, w.admin, app, digestOf(one)))
	read := func() []registry.DeletedTag {
		list, _, err := w.DeletedTags(w.ctx, w.admin, app, registry.DeletedQuery{}, 10)
		w.must(err)
		for i := range list {
			list[i].Until = time.Time{} // of the note, which may be that of another tag
		}
		return list
	}
	before := read()
	text, err := os.ReadFile("../db/migrations/0009_undo.sql")
	w.must(err)
	_, fill, _ := strings.Cut(string(text), "-- What waits already: each note says until when the image stays.")
	_, err = db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) {
		if _, err := tx.Exec(`DELETE FROM deleted_tag`); err != nil {
			return 0, err
		}
		return tx.Exec(strings.TrimSuffix(strings.TrimSpace(fill), ";"))
	})
	w.must(err)
	after := read()
	if len(after) != 3 || len(before) != len(after) {
		t.Fatalf("%+v, before %+v", after, before)
	}
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("%+v, before %+v", after[i], before[i])
		}
	}
	_, err = w.RestoreTag(w.ctx, w.admin, app, "v", digestOf(one), true)
	w.must(err)
	w.wantTags(app, map[string]oci.Digest{"v": digestOf(one)})
}
