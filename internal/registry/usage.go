package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
)

// Sums are kept, not counted: of a repository its tags and size, of an account
// what it has and by how much that changed each day, of both how many
// repositories there are of each kind (docs/decisions/005-sums.md).
//
// On PostgreSQL these rows are what concurrent pushes meet on, so they come
// last in a transaction, and in one order: the repository, the account's
// usage, the counts of repositories.

const (
	// stripes spread those who write the usage of one account.
	stripes = 16
	// countStripes do the same where rows are read by the dozen.
	countStripes = 4

	dayMicros = int64(24 * time.Hour / time.Microsecond)
	// usageDays is how long the changes of a day are kept.
	usageDays = 400
)

// A change is what a transaction adds to an account; what it takes away is negative.
type change struct{ orgs, repos, images, stored, downflow int64 }

// stripe returns which of n rows a transaction writes to, always the same:
// two in random order could lock each other out.
func (r *Registry) stripe(tx *db.Tx, n int64) int64 {
	if r.db.Exact() {
		return 0
	}
	return tx.Micros() % n
}

// addUsage notes a change of what an account has.
func (r *Registry) addUsage(tx *db.Tx, account string, c change) error {
	if c == (change{}) {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO usage (account, day, stripe, orgs, repos, images, stored, downflow)
		VALUES ($1, 0, $2, $4, $5, $6, $7, $8), ($1, $3, $2, $4, $5, $6, $7, $8)
		ON CONFLICT (account, day, stripe) DO UPDATE SET orgs = usage.orgs + excluded.orgs, repos = usage.repos + excluded.repos,
			images = usage.images + excluded.images, stored = usage.stored + excluded.stored, downflow = usage.downflow + excluded.downflow`,
		account, r.stripe(tx, stripes), tx.Micros()/dayMicros, c.orgs, c.repos, c.images, c.stored, c.downflow)
	return err
}

// A repoKind is what repositories are counted by.
type repoKind struct {
	organization int64
	category     string
	public       bool
}

// countRepos adds n repositories of each kind to the counts of their
// organizations and of the account.
func (r *Registry) countRepos(tx *db.Tx, account string, kinds map[repoKind]int64) error {
	all := map[repoKind]int64{}
	for k, n := range kinds {
		all[k] += n
		all[repoKind{0, k.category, k.public}] += n
	}
	rows := make([]repoKind, 0, len(all))
	for k, n := range all {
		if n != 0 {
			rows = append(rows, k)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	slices.SortFunc(rows, func(a, b repoKind) int { // in one order: no deadlock
		return cmp.Or(cmp.Compare(a.organization, b.organization), cmp.Compare(a.category, b.category), cmpBool(a.public, b.public))
	})
	var values strings.Builder
	args := []any{account, r.stripe(tx, countStripes)}
	for i, k := range rows {
		if i > 0 {
			values.WriteString(", ")
		}
		values.WriteString(`($1, $` + strconv.Itoa(len(args)+1) + `, $` + strconv.Itoa(len(args)+2) + `, $` + strconv.Itoa(len(args)+3) + `, $2, $` + strconv.Itoa(len(args)+4) + `)`)
		args = append(args, k.organization, k.category, k.public, all[k])
	}
	_, err := tx.Exec(`INSERT INTO repository_count (account, organization, category, public, stripe, n) VALUES `+values.String()+`
		ON CONFLICT (account, organization, category, public, stripe) DO UPDATE SET n = repository_count.n + excluded.n`, args...)
	return err
}

func cmpBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// used reads what the account has now.
func used(ctx context.Context, q db.Querier, account string) (change, error) {
	type row struct{ Orgs, Repos, Images, Stored, Downflow int64 }
	s, err := db.One[row](ctx, q, `SELECT CAST(coalesce(sum(orgs), 0) AS BIGINT), CAST(coalesce(sum(repos), 0) AS BIGINT), CAST(coalesce(sum(images), 0) AS BIGINT),
		CAST(coalesce(sum(stored), 0) AS BIGINT), CAST(coalesce(sum(downflow), 0) AS BIGINT) FROM usage WHERE account = $1 AND day = 0`, account)
	return change{s.Orgs, s.Repos, s.Images, s.Stored, s.Downflow}, err
}

// lockQuota makes those wait for each other who could exceed an account's
// quota together.
func lockQuota(tx *db.Tx, account string) error {
	lock := tx.ForNoKeyUpdate()
	if lock == "" {
		return nil
	}
	_, err := db.One[string](tx.Context(), tx, `SELECT id FROM account WHERE id = $1`+lock, account)
	return err
}

// expireUsage forgets the changes of days long past.
func (r *Registry) expireUsage(ctx context.Context) (bool, error) {
	today := time.Now().UnixMicro() / dayMicros
	if r.collector.expired.Load() == today {
		return false, nil
	}
	n, err := db.Update(ctx, r.db, func(tx *db.Tx) (int64, error) {
		return tx.Exec(`DELETE FROM usage WHERE (account, day, stripe) IN
			(SELECT account, day, stripe FROM usage WHERE day > 0 AND day < $1 LIMIT $2)`, today-usageDays, rowsPerBatch)
	})
	if err != nil {
		return false, fmt.Errorf("usage of past days: %w", err)
	}
	if n < rowsPerBatch {
		r.collector.expired.Store(today)
	}
	return n == rowsPerBatch, nil
}
