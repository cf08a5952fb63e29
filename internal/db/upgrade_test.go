package db_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
)

// before is content of a database with the first schema: two images, one of
// them twice in an index that has a tag, and a repository that was deleted.
const before = `
INSERT INTO account (id, seq, name, enabled, created) VALUES ('a', 1, 'admin', true, 1);
INSERT INTO iam_user (id, account, name, password, version, admin, enabled, description, created) VALUES ('u', 'a', 'admin', '', 1, true, true, '', 1);
INSERT INTO access_key (access, account, iam_user, secret, enabled, description, created) VALUES ('k', 'a', 'u', '', true, '', 1);
INSERT INTO organization (id, account, name, creator, creator_name, created) VALUES (1, 'a', 'acme', 'u', 'admin', 1);
INSERT INTO repository (id, organization, account, path, name, public, category, description, creator, creator_name, created, updated) VALUES
	(1, 1, 'a', 'acme/app', 'app', false, 'other', '', 'u', 'admin', 1, 1), (2, 1, 'a', 'acme/web', 'web', true, 'lang', '', 'u', 'admin', 1, 1),
	(3, 0, 'a', '!3', 'gone', false, 'other', '', 'u', 'admin', 1, 1);
INSERT INTO blob (digest, key, size, created) VALUES ('b1', '', 10, 1), ('b2', 'key', 20, 1);
INSERT INTO content (digest, data) VALUES ('b1', '0123456789');
INSERT INTO link (repository, digest, created) VALUES (1, 'b1', 1), (1, 'b2', 1);
INSERT INTO manifest (id, repository, digest, media_type, artifact_type, config, subject, annotations, size, content_size, created, deleted) VALUES
	(1, 1, 'm1', 'image', '', 'b1', '', '', 5, 10, 1, NULL), (2, 1, 'm2', 'image', '', 'b2', '', '', 5, 20, 1, NULL),
	(3, 1, 'i1', 'index', '', '', '', '', 5, 0, 1, NULL), (4, 1, 'i2', 'index', '', '', '', '', 5, 0, 1, NULL), (5, 1, 'm5', 'image', '', '', '', '', 5, 40, 1, 7);
INSERT INTO ref (repository, child, manifest, kind) VALUES (1, 'b1', 1, 'b'), (1, 'b2', 2, 'b'), (1, 'm1', 3, 'm'), (1, 'm2', 3, 'm'), (1, 'i1', 4, 'm'), (1, 'm1', 4, 'm');
INSERT INTO tag (id, repository, name, manifest, created, updated) VALUES (1, 1, 'v1', 1, 1, 1), (2, 1, 'also', 1, 1, 1), (3, 1, 'all', 4, 1, 1);
INSERT INTO upload (id, path, owner, state, digest, size, algorithm, key, start, epoch, updated, expires) VALUES ('x', 'acme/app', 'user:u', 'open', '', 1, 'sha256', 'other', '', 1, 1, 9);
INSERT INTO garbage (key, due) VALUES ('old', 1);
INSERT INTO review (repository, digest, kind, created, due) VALUES (3, '', 'r', 1, 1);
`

// A database with content goes from the first schema to the newest.
func TestUpgrade(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "berth.db")
		upgrade(t, db.SQLite, "sqlite", path, "sqlite:"+path)
	})
	t.Run("postgres", func(t *testing.T) {
		url := dbtest.EmptyPostgres(t)
		sign := "?"
		if strings.Contains(url, "?") {
			sign = "&"
		}
		upgrade(t, db.Postgres, "pgx", url+sign+"default_query_exec_mode=simple_protocol", url)
	})
}

func upgrade(t *testing.T, e db.Engine, driver, dsn, url string) {
	first := must[[]byte](t)(os.ReadFile("migrations/0001_registry.sql"))
	old := must[*sql.DB](t)(sql.Open(driver, dsn))
	for _, text := range []string{
		`CREATE TABLE migration (version BIGINT PRIMARY KEY, name NAME NOT NULL, min_reader BIGINT NOT NULL, applied BIGINT NOT NULL)`,
		`INSERT INTO migration VALUES (0, '', 0, 1), (1, 'registry', 1, 1)`, string(first), before,
	} {
		must[sql.Result](t)(old.Exec(db.Translate(e, text)))
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	d := must[*db.DB](t)(db.Open(context.Background(), url, db.Options{}))
	for query, want := range map[string]int64{
		`SELECT tags FROM repository WHERE id = 1`:                                            3,
		`SELECT size FROM repository WHERE id = 1`:                                            10 + 40,
		`SELECT content_size FROM manifest WHERE digest = 'i2'`:                               40, // 10 + 20 by the index in it, and 10
		`SELECT count(*) FROM repository_count WHERE n = 1`:                                   4,
		`SELECT n FROM repository_count WHERE organization = 0 AND category = 'other'`:        1,
		`SELECT images * 1000000 + orgs * 100000 + repos * 10000 + stored FROM usage`:         3*1000000 + 100000 + 2*10000 + 50,
		`SELECT count(*) FROM access_key WHERE kind = '' AND parent = ''`:                     1,
		`SELECT count(*) FROM iam_user WHERE access_mode = 'default'`:                         1,
		`SELECT shares FROM repository WHERE id = 2`:                                          0,
		`SELECT count(*) FROM upload u JOIN garbage g ON g.key = 'old' WHERE u.key = 'other'`: 1,
	} {
		if got, err := db.One[int64](context.Background(), d, query); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", query, got, err, want)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
