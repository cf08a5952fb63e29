package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"time"

	"github.com/Masterminds/semver/v3"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
)

// ImportKind is the kind of the jobs that import charts from elsewhere.
const ImportKind = "chart-import"

// A ChartMirror is a chart repository elsewhere, whose charts a group takes.
// What is in the group already stays as it is.
type ChartMirror struct {
	URL      string   // of the repository, without index.yaml
	Username string   // "": nobody logs in
	Password bool     // there is one; it is never shown
	Charts   []string // patterns of names, as path.Match reads them; none: all
	Versions string   // constraint, such as ">=1.2 <3"; "": all
	Every    time.Duration
	Status   string // waiting, success, failed
	Detail   string // what came of the last import
	Imported int64  // versions that it brought
	Finished time.Time
	Updated  time.Time
}

// The bounds of a mirror.
const (
	maxPatterns   = 100
	minImport     = time.Hour // between two imports
	maxImport     = 30 * 24 * time.Hour
	maxMirrorText = 1024 // bytes of address, user, password and constraint
)

type mirrorRow struct {
	URL, Username               string
	Password                    []byte
	Charts, Versions            string
	Every                       int64
	Status, Detail              string
	Imported, Finished, Updated int64
}

const mirrorColumns = `url, username, password, charts, versions, every, status, detail, imported, finished, updated`

func (m mirrorRow) mirror() (ChartMirror, error) {
	out := ChartMirror{URL: m.URL, Username: m.Username, Password: len(m.Password) > 0, Versions: m.Versions, Every: time.Duration(m.Every) * time.Second,
		Status: m.Status, Detail: m.Detail, Imported: m.Imported, Updated: fromMicros(m.Updated)}
	if m.Finished > 0 {
		out.Finished = fromMicros(m.Finished)
	}
	return out, json.Unmarshal([]byte(m.Charts), &out.Charts)
}

func (m ChartMirror) check(password *string) error {
	for what, s := range map[string]string{"url": m.URL, "username": m.Username, "versions": m.Versions} {
		if len(s) > maxMirrorText {
			return fault.New(fault.Invalid, "%s has at most %d bytes.", what, maxMirrorText)
		}
	}
	if password != nil && len(*password) > maxMirrorText {
		return fault.New(fault.Invalid, "password has at most %d bytes.", maxMirrorText)
	}
	if len(m.Charts) > maxPatterns {
		return fault.New(fault.Invalid, "charts has at most %d patterns.", maxPatterns)
	}
	for _, p := range m.Charts {
		if _, err := path.Match(p, ""); err != nil || p == "" || len(p) > maxMirrorText {
			return fault.New(fault.Invalid, "charts has patterns of names, such as web or team-*, not %s.", shown(p))
		}
	}
	if m.Versions != "" {
		if _, err := semver.NewConstraint(m.Versions); err != nil {
			return fault.New(fault.Invalid, "versions is a constraint such as >=1.2 <3, not %s.", shown(m.Versions))
		}
	}
	if m.Every != 0 && (m.Every < minImport || m.Every > maxImport) {
		return fault.New(fault.Invalid, "every_hours is 0, for imports on demand, or 1 to %d.", maxImport/time.Hour)
	}
	return nil
}

func mirrorPurpose(group int64) string { return "chart_mirror:" + strconv.FormatInt(group, 10) }

func noMirror(group string) error {
	return fault.New(fault.RuleUnknown, "The chart group %s does not import charts.", group)
}

// SetChartMirror makes a group import the charts of a repository elsewhere, from
// now on. password nil keeps the one that is there, if address and user stay.
// Errors: OrgUnknown, Denied, Invalid.
func (r *Registry) SetChartMirror(ctx context.Context, who iam.Caller, group string, m ChartMirror, password *string) error {
	if err := m.check(password); err != nil {
		return err
	}
	charts, err := json.Marshal(append([]string{}, m.Charts...))
	if err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		o, err := r.groupFor(tx, who, group, iam.UpdateOrg)
		if err != nil {
			return err
		}
		if err := lockOrg(tx, o); err != nil {
			return err
		}
		var sealed []byte
		if password != nil && *password != "" {
			sealed = r.iam.Seal(mirrorPurpose(o.ID), []byte(*password))
		}
		if _, err := tx.Exec(`INSERT INTO chart_mirror (organization, url, username, password, charts, versions, every, status, detail, imported, finished, updated)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', '', 0, 0, $8) ON CONFLICT (organization) DO UPDATE SET
				password = CASE WHEN $9 AND chart_mirror.url = excluded.url AND chart_mirror.username = excluded.username THEN chart_mirror.password ELSE excluded.password END,
				url = excluded.url, username = excluded.username, charts = excluded.charts, versions = excluded.versions, every = excluded.every,
				status = excluded.status, detail = excluded.detail, updated = excluded.updated`,
			o.ID, m.URL, m.Username, sealed, string(charts), m.Versions, int64(m.Every/time.Second), tx.Micros(), password == nil); err != nil {
			return err
		}
		if err := r.iam.Audit(tx, who, iam.UpdateOrg, group+" imports "+m.URL, "ok"); err != nil {
			return err
		}
		return r.addImport(tx, o.ID, o.Account, group, time.Time{})
	})
}

// groupFor finds a chart group inside a transaction and decides whether the
// caller may do this to it.
func (r *Registry) groupFor(tx *db.Tx, who iam.Caller, group string, do iam.Action) (orgRow, error) {
	o, err := chartGroup(tx.Context(), tx, group)
	if err != nil {
		return o, err
	}
	return o, r.iam.Allow(tx, who, do, o.resource())
}

// An Import is the payload of an ImportKind job.
type Import struct {
	Group int64 `json:"group"`
}

func (r *Registry) addImport(tx *db.Tx, group int64, account, name string, due time.Time) error {
	_, err := r.jobs.Add(tx, job.New{Kind: ImportKind, Account: account, Key: strconv.FormatInt(group, 10), About: "charts for " + name,
		Payload: Import{group}, Due: due, Replace: due.IsZero()})
	return err
}

// ChartMirror shows what a group imports. Errors: OrgUnknown, RuleUnknown, Denied.
func (r *Registry) ChartMirror(ctx context.Context, who iam.Caller, group string) (ChartMirror, error) {
	return db.View(ctx, r.db, func(tx *db.Tx) (ChartMirror, error) {
		o, err := r.groupFor(tx, who, group, iam.ShowOrg)
		if err != nil {
			return ChartMirror{}, err
		}
		m, err := ruleOf[mirrorRow](tx.Context(), tx, noMirror(group), `SELECT `+mirrorColumns+` FROM chart_mirror WHERE organization = $1`, o.ID)
		if err != nil {
			return ChartMirror{}, err
		}
		return m.mirror()
	})
}

// DeleteChartMirror ends the imports of a group; its charts stay.
// Errors: OrgUnknown, RuleUnknown, Denied.
func (r *Registry) DeleteChartMirror(ctx context.Context, who iam.Caller, group string) error {
	return r.update(ctx, func(tx *db.Tx) error {
		o, err := r.groupFor(tx, who, group, iam.UpdateOrg)
		if err != nil {
			return err
		}
		n, err := tx.Exec(`DELETE FROM chart_mirror WHERE organization = $1`, o.ID)
		if err == nil && n == 0 {
			err = noMirror(group)
		}
		if err != nil {
			return err
		}
		return r.iam.Audit(tx, who, iam.UpdateOrg, group+" imports nothing", "ok")
	})
}

// RunChartMirror has a group import now. Errors: OrgUnknown, RuleUnknown, Denied.
func (r *Registry) RunChartMirror(ctx context.Context, who iam.Caller, group string) error {
	return r.update(ctx, func(tx *db.Tx) error {
		o, err := r.groupFor(tx, who, group, iam.UpdateOrg)
		if err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE chart_mirror SET status = 'waiting' WHERE organization = $1`, o.ID)
		if err == nil && n == 0 {
			err = noMirror(group)
		}
		if err != nil {
			return err
		}
		return r.addImport(tx, o.ID, o.Account, group, time.Time{})
	})
}

// An ImportTask is what a job needs to import charts.
type ImportTask struct {
	ChartMirror
	Group  string
	Secret string
}

// ImportTask reads what a job is to import; ok is false where that is not
// wanted any more. Only Berth itself may.
func (r *Registry) ImportTask(ctx context.Context, who iam.Caller, group int64) (t ImportTask, ok bool, err error) {
	if !who.System() {
		return t, false, fault.New(fault.Denied, "Only the registry itself imports charts.")
	}
	m, err := db.One[mirrorRow](ctx, r.db, `SELECT `+mirrorColumns+` FROM chart_mirror WHERE organization = $1`, group)
	if errors.Is(err, db.ErrNone) {
		return t, false, nil
	}
	if err == nil {
		t.Group, err = db.One[string](ctx, r.db, `SELECT name FROM organization WHERE id = $1`, group)
	}
	if err == nil {
		t.ChartMirror, err = m.mirror()
	}
	if err == nil && len(m.Password) > 0 {
		var b []byte
		if b, err = r.iam.Unseal(mirrorPurpose(group), m.Password); err != nil {
			err = fmt.Errorf("the password of the mirror of %s: %w", t.Group, err)
		}
		t.Secret = string(b)
	}
	return t, !errors.Is(err, db.ErrNone), ignoreNone(err)
}

// ImportChanged notes that an import was ended before its time.
func (r *Registry) ImportChanged(tx *db.Tx, j *job.Job, s job.State) error {
	var p Import
	if err := j.Decode(&p); err != nil || s == job.Waiting {
		return err
	}
	_, err := tx.Exec(`UPDATE chart_mirror SET status = 'failed', detail = $2, finished = $3 WHERE organization = $1`,
		p.Group, "The job was ended; run the import again.", tx.Micros())
	return err
}

// ImportDone writes down what came of an import, ends its job and queues the
// next one where there is to be one. Only Berth itself may.
func (r *Registry) ImportDone(ctx context.Context, who iam.Caller, j *job.Job, group, imported int64, failed error, detail string) error {
	if !who.System() {
		return fault.New(fault.Denied, "Only the registry itself imports charts.")
	}
	status := "success"
	if failed != nil {
		status = "failed"
	}
	return r.update(ctx, func(tx *db.Tx) error {
		type row struct{ Every int64 }
		type owner struct{ Account, Name string }
		if err := j.Done(tx); err != nil {
			return err
		}
		m, err := db.One[row](tx.Context(), tx, `UPDATE chart_mirror SET status = $2, detail = $3, imported = $4, finished = $5 WHERE organization = $1 RETURNING every`,
			group, status, detail, imported, tx.Micros())
		if err != nil || m.Every == 0 {
			return ignoreNone(err)
		}
		o, err := db.One[owner](tx.Context(), tx, `SELECT account, name FROM organization WHERE id = $1`, group)
		if err != nil {
			return ignoreNone(err)
		}
		return r.addImport(tx, group, o.Account, o.Name, tx.Now().Add(time.Duration(m.Every)*time.Second))
	})
}
