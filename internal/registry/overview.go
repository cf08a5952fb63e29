package registry

import (
	"context"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
)

// Overview is what an account has.
type Overview struct {
	Orgs, Repos, Images int64 // an image is a tag
	Stored              int64 // bytes: the sizes of all repositories
	Downflow            int64 // bytes of blobs that were sent to clients
}

// Overview sums up the caller's account. Errors: Denied, Unauthorized.
func (r *Registry) Overview(ctx context.Context, who iam.Caller) (Overview, error) {
	if err := r.iam.Check(ctx, who, iam.ShowOverview, iam.Resource{Account: who.Account}); err != nil {
		return Overview{}, err
	}
	u, err := used(ctx, r.db, who.Account)
	return Overview{u.orgs, u.repos, u.images, u.stored, u.downflow}, err
}

// A Quota is a limit of an account.
type Quota struct {
	Key   string // namespace or repo
	Limit int64  // 0: none
	Used  int64
}

// Quotas shows the limits of the caller's account and how much of them is
// used. Errors: Denied, Unauthorized.
func (r *Registry) Quotas(ctx context.Context, who iam.Caller) ([]Quota, error) {
	if err := r.iam.Check(ctx, who, iam.ListQuotas, iam.Resource{Account: who.Account}); err != nil {
		return nil, err
	}
	u, err := used(ctx, r.db, who.Account)
	return []Quota{{"namespace", int64(r.o.OrgsPerOwner), u.orgs}, {"repo", int64(r.o.ReposPerOwner), u.repos}}, err
}

// A Report is a figure of an account that is reported for each day.
type Report string

// The reports.
const (
	StoreReport    Report = "store"    // bytes that were stored at the end of the day
	DownflowReport Report = "downflow" // bytes that were sent on the day
)

// DayValue is the value of a report on one day, in UTC.
type DayValue struct {
	Day   time.Time
	Value int64
}

// Daily reports the last days of the caller's account, the first of them
// first, today last. Errors: Denied, Unauthorized.
func (r *Registry) Daily(ctx context.Context, who iam.Caller, what Report, days int) ([]DayValue, error) {
	if err := r.iam.Check(ctx, who, iam.ShowReports, iam.Resource{Account: who.Account}); err != nil {
		return nil, err
	}
	days = min(max(days, 1), usageDays)
	column := "stored"
	if what == DownflowReport {
		column = "downflow"
	}
	type row struct{ Day, Sum int64 }
	type sums struct {
		today int64
		rows  []row
	}
	read, err := db.View(ctx, r.db, func(tx *db.Tx) (sums, error) { // its clock is the one that counts
		today := tx.Micros() / dayMicros
		rows, err := db.All[row](tx.Context(), tx, `SELECT day, CAST(sum(`+column+`) AS BIGINT) FROM usage
			WHERE account = $1 AND (day = 0 OR day > $2) GROUP BY day`, who.Account, today-int64(days))
		return sums{today, rows}, err
	})
	if err != nil {
		return nil, err
	}
	changes := map[int64]int64{}
	for _, c := range read.rows {
		changes[c.Day] = c.Sum
	}
	out := make([]DayValue, days)
	total := changes[0]
	for i := range days {
		day := read.today - int64(i)
		v := changes[day]
		if what == StoreReport {
			v = total
			total -= changes[day]
		}
		out[days-1-i] = DayValue{time.UnixMicro(day * dayMicros).UTC(), v}
	}
	return out, nil
}
