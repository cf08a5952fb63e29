package registry_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

// seed fills an account with organizations o00000, o00001, …, repositories
// spread evenly over them, one small image in each and several tags on it, the
// sums included: a hundred thousand repositories in seconds. What it makes
// stands in the tables as if it had been pushed.
func seed(ctx context.Context, d *db.DB, account string, orgs, repos, tags int) error {
	const numbers = `WITH RECURSIVE n (i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2) `
	const five = `substr(CAST(1000000 + %s AS TEXT), 2)`
	org, repo := `('o' || `+fmt.Sprintf(five, "i % $4")+`)`, `('app' || `+fmt.Sprintf(five, "i")+`)`
	digest := `('sha256:' || substr(CAST(1000000 + i AS TEXT), 2) || '0000000000000000000000000000000000000000000000000000000000')`
	const step = 20_000
	run := func(from, to int, text string, args ...any) error {
		_, err := db.Update(ctx, d, func(tx *db.Tx) (int64, error) { return tx.Exec(text, append([]any{from, to}, args...)...) })
		return err
	}
	base := int64(1_700_000_000_000_000)
	body := `{"schemaVersion":2,"mediaType":"` + imageType + `","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[` +
		`{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0","size":32654},` +
		`{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:3c3a4604a545cdc127456d94e421cd355bca5b528f4a9c1905b15da2eb4a4c6b","size":16724},` +
		`{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:ec4b8955958665577945c89419d1af06b5f7636b4ac3da7f12184802ad867736","size":73109}]}`
	if err := run(0, orgs, numbers+`INSERT INTO organization (account, name, creator, creator_name, created)
		SELECT $3, 'o' || `+fmt.Sprintf(five, "i")+`, 'seed', 'seed', 0 FROM n`, account); err != nil {
		return err
	}
	for from := 0; from < repos; from += step {
		to := min(from+step, repos)
		for _, text := range []string{
			// A half is of the category other, the rest of the others; one in ten
			// is public. The order of time is not that of names.
			`INSERT INTO repository (organization, account, path, name, public, category, description, creator, creator_name, created, updated)
				SELECT o.id, o.account, o.name || '/' || ` + repo + `, ` + repo + `, i % 10 = 3,
					CASE i % 8 WHEN 0 THEN 'linux' WHEN 1 THEN 'database' WHEN 2 THEN 'lang' WHEN 3 THEN 'framework_app' ELSE 'other' END,
					'a repository', 'seed', 'seed', $5 + i, $5 + (i * 7919) % 1000003 FROM n CROSS JOIN organization o WHERE o.name = ` + org + ` AND $3 <> ''`,
			`INSERT INTO manifest (repository, digest, media_type, artifact_type, config, subject, annotations, size, content_size, created)
				SELECT r.id, ` + digest + `, '` + imageType + `', '', 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '', '', 700, 122489, $5
				FROM n CROSS JOIN repository r WHERE r.path = ` + org + ` || '/' || ` + repo + ` AND $3 <> ''`,
		} {
			if err := run(from, to, numbers+text, account, orgs, base); err != nil {
				return err
			}
		}
		for t := range tags {
			if err := run(from, to, numbers+`INSERT INTO tag (repository, name, manifest, created, updated)
				SELECT m.repository, CAST($6 AS TEXT), m.id, $5, $5 + CAST($7 AS BIGINT) FROM n CROSS JOIN repository r JOIN manifest m ON m.repository = r.id WHERE r.path = `+org+` || '/' || `+repo+` AND $3 <> ''`, account, orgs, base, fmt.Sprintf("v1.%d", t), t); err != nil {
				return err
			}
		}
	}
	for _, text := range []string{
		`INSERT INTO manifest_body (manifest, data) SELECT id, $3 FROM manifest WHERE id NOT IN (SELECT manifest FROM manifest_body) AND $1 < $2`,
		`UPDATE repository SET tags = (SELECT count(*) FROM tag t WHERE t.repository = repository.id), size = 122489 WHERE creator = 'seed' AND $1 < $2 AND $3 <> ''`,
		`DELETE FROM repository_count WHERE $1 < $2 AND $3 <> ''`, `DELETE FROM usage WHERE $1 < $2 AND $3 <> ''`,
		`INSERT INTO repository_count (account, organization, category, public, stripe, n)
			SELECT account, organization, category, public, 0, count(*) FROM repository WHERE organization <> 0 AND $1 < $2 AND $3 <> '' GROUP BY account, organization, category, public`,
		`INSERT INTO repository_count (account, organization, category, public, stripe, n)
			SELECT account, 0, category, public, 0, count(*) FROM repository WHERE organization <> 0 AND $1 < $2 AND $3 <> '' GROUP BY account, category, public`,
		`INSERT INTO usage (account, day, stripe, orgs, repos, images, stored, downflow)
			SELECT a.id, 0, 0, (SELECT count(*) FROM organization o WHERE o.account = a.id), (SELECT count(*) FROM repository r WHERE r.account = a.id),
				(SELECT CAST(coalesce(sum(r.tags), 0) AS BIGINT) FROM repository r WHERE r.account = a.id),
				(SELECT CAST(coalesce(sum(r.size), 0) AS BIGINT) FROM repository r WHERE r.account = a.id), 0 FROM account a WHERE $1 < $2 AND $3 <> ''`,
	} {
		if err := run(0, 1, text, []byte(body)); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkLists times the lists of the management API over a small and a large
// account: BERTH_SEED=100 or 100000 repositories, 1,000 of them by default,
// one organization for each hundred and ten tags in each.
func BenchmarkLists(b *testing.B) {
	repos := 1000
	if s := os.Getenv("BERTH_SEED"); s != "" {
		repos, _ = strconv.Atoi(s)
	}
	d, who, r := seeded(b, max(repos/100, 1), repos, 10)
	_ = d
	yes := true
	user := who
	for _, c := range []struct {
		name string
		f    registry.RepoFilter
		o    registry.Order
		w    registry.Window
	}{
		{"first", registry.RepoFilter{}, registry.Order{}, registry.Window{Limit: 100}},
		{"organization", registry.RepoFilter{Org: "o000000"}, registry.Order{}, registry.Window{Limit: 100}},
		{"category", registry.RepoFilter{Category: "linux"}, registry.Order{}, registry.Window{Limit: 100}},
		{"public", registry.RepoFilter{Public: &yes}, registry.Order{}, registry.Window{Limit: 100}},
		{"none", registry.RepoFilter{Category: "windows"}, registry.Order{}, registry.Window{Limit: 100}},
		{"exact name", registry.RepoFilter{Org: "o000000", Name: "app000000"}, registry.Order{}, registry.Window{Limit: 100}},
		{"by name", registry.RepoFilter{}, registry.Order{By: registry.SortName}, registry.Window{Limit: 100}},
		{"by organization", registry.RepoFilter{}, registry.Order{By: registry.SortOrg}, registry.Window{Limit: 100}},
		{"by tags", registry.RepoFilter{}, registry.Order{By: registry.SortTags}, registry.Window{Limit: 100}},
		{"search few", registry.RepoFilter{Name: "0777"}, registry.Order{}, registry.Window{Limit: 100}},
		{"search many", registry.RepoFilter{Name: "app"}, registry.Order{}, registry.Window{Limit: 100}},
		{"search some", registry.RepoFilter{Name: "99"}, registry.Order{}, registry.Window{Limit: 100}},
		{"deep", registry.RepoFilter{}, registry.Order{}, registry.Window{Limit: 100, Offset: repos * 9 / 10}},
		{"deep category", registry.RepoFilter{Category: "other"}, registry.Order{}, registry.Window{Limit: 100, Offset: repos * 4 / 10}},
		{"organizations like", registry.RepoFilter{Org: "o00", OrgPart: true}, registry.Order{}, registry.Window{Limit: 100}},
	} {
		b.Run(c.name, func(b *testing.B) {
			defer cpu(b)()
			for b.Loop() {
				if _, err := r.ListRepos(b.Context(), user, c.f, c.o, c.w); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("v3", func(b *testing.B) {
		defer cpu(b)()
		for b.Loop() {
			if _, err := r.ListReposBelow(b.Context(), who, registry.RepoFilter{}, 0, 100); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("tags", func(b *testing.B) {
		defer cpu(b)()
		for b.Loop() {
			l, err := r.ListTags(b.Context(), who, "o000000/app000000", registry.TagQuery{Manifests: true})
			if err != nil {
				b.Fatal(err)
			}
			for _, err := range l.Items {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("organizations", func(b *testing.B) {
		defer cpu(b)()
		for b.Loop() {
			if _, err := r.ListOrgs(b.Context(), who, registry.OrgFilter{}, "", 1000); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("organization by name", func(b *testing.B) {
		defer cpu(b)()
		for b.Loop() {
			if _, err := r.ListOrgs(b.Context(), who, registry.OrgFilter{Name: "o000000"}, "", 1000); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// cpu reports the processor time of each operation, which says more than the
// time of day on a machine that does other things as well.
func cpu(b *testing.B) func() {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N)/1e3, "cpu-µs/op") }
}

func seeded(b *testing.B, orgs, repos, tags int) (*db.DB, iam.Caller, *registry.Registry) {
	b.Helper()
	d, r, who := benchDB(b)
	if err := seed(b.Context(), d, who.Account, orgs, repos, tags); err != nil {
		b.Fatal(err)
	}
	return d, who, r
}
