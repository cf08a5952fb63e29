package registry

import (
	"errors"
	"strconv"
	"strings"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
)

// Repositories of the own account that are shared are found by indexes of
// their own; those of others by the targets that mean the caller's account.
// Either way what is not shared costs nothing, however much there is of it.

// A sharedListing is a list that is about to be read.
type sharedListing struct {
	filter  SharedFilter
	account string
	user    string       // whose rights count; "": an administrator's
	targets []iam.Target // that mean the account
	now     int64
}

// sharedQuery collects the arguments of a statement.
type sharedQuery struct{ args []any }

// arg adds an argument and returns its place.
func (q *sharedQuery) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

// orgOf is the name of a repository's organization. A deleted repository,
// which the planner may look at before the rest, has a path that is shorter
// than its name.
const orgOf = `CASE WHEN r.organization = 0 THEN '' ELSE substr(r.path, 1, length(r.path) - length(r.name) - 1) END`

// rules selects the repositories that are shared with the account and until
// when; more narrows the rows of the table share, s.
func (l *sharedListing) rules(q *sharedQuery, more string) string {
	var in []string
	for _, t := range l.targets {
		in = append(in, q.arg(string(t)))
	}
	return `(SELECT s.repository, max(s.expires) AS until FROM share s WHERE s.target IN (` + strings.Join(in, ", ") + `)` + more + ` GROUP BY s.repository) x`
}

// from is the text from FROM to the last condition: repository r, and of other
// accounts x with the end of the share.
func (l *sharedListing) from(q *sharedQuery) string {
	if l.filter.Theirs {
		return ` FROM ` + l.rules(q, "") + ` JOIN repository r ON r.id = x.repository WHERE r.account <> ` + q.arg(l.account) + l.conditions(q)
	}
	return ` FROM repository r WHERE r.account = ` + q.arg(l.account) + ` AND r.shares > 0` + l.conditions(q)
}

// conditions are what the filter and the caller's rights ask of r and x.
func (l *sharedListing) conditions(q *sharedQuery) string {
	var b strings.Builder
	contains := func(column, part string) {
		// Search that heeds case on both engines, with no sign that means another.
		b.WriteString(` AND replace(` + column + `, ` + q.arg(part) + `, '') <> ` + column)
	}
	f := l.filter
	switch {
	case f.Org != "" && f.OrgPart:
		contains(orgOf, f.Org)
	case f.Org != "":
		b.WriteString(` AND ` + orgOf + ` = ` + q.arg(f.Org))
	}
	if f.Name != "" {
		contains(`r.name`, f.Name)
	}
	if f.Category != "" {
		b.WriteString(` AND r.category = ` + q.arg(f.Category))
	}
	if f.Theirs && f.Owner != "" {
		b.WriteString(` AND r.account = (SELECT a.id FROM account a WHERE a.name = ` + q.arg(f.Owner) + `)`)
	}
	if f.Theirs && f.Valid != nil {
		b.WriteString(` AND (x.until > ` + q.arg(l.now) + `) = ` + q.arg(*f.Valid))
	}
	if !f.Theirs && l.user != "" {
		u := q.arg(l.user)
		b.WriteString(` AND (r.organization IN (SELECT g.organization FROM org_grant g WHERE g.iam_user = ` + u + `)
			OR r.id IN (SELECT g.repository FROM repo_grant g WHERE g.iam_user = ` + u + `))`)
	}
	return b.String()
}

func (l *sharedListing) count(tx *db.Tx) (int64, error) {
	var q sharedQuery
	text := `SELECT count(*)` + l.from(&q)
	return db.One[int64](tx.Context(), tx, text, q.args...)
}

// until is the end of the share in the rows of a page.
func (l *sharedListing) until() string {
	if l.filter.Theirs {
		return `x.until`
	}
	return `0`
}

// page reads one page: first which rows, by what the order needs and no more,
// then all about them.
func (l *sharedListing) page(tx *db.Tx, o Order, limit, offset int) ([]SharedRepo, error) {
	var q sharedQuery
	order := l.order(o)
	rows := `SELECT r.id, ` + l.until() + ` AS until` + l.from(&q) + ` ORDER BY ` + order + ` LIMIT ` + q.arg(limit) + ` OFFSET ` + q.arg(offset)
	return l.items(tx, &q, limit, rows, strings.ReplaceAll(order, `x.until`, `p.until`))
}

// items reads all about the rows of a page of n, which have columns id and until.
func (l *sharedListing) items(tx *db.Tx, q *sharedQuery, n int, rows, order string) ([]SharedRepo, error) {
	found, err := db.All[sharedRow](tx.Context(), tx, `SELECT `+itemColumns(q.arg(inlineTags(n)))+`, p.until
		FROM (`+rows+`) p CROSS JOIN repository r JOIN account a ON a.id = r.account WHERE r.id = p.id ORDER BY `+order, q.args...)
	if err != nil {
		return nil, err
	}
	items := make([]SharedRepo, len(found))
	for i, row := range found {
		items[i] = row.repo(l.now, l.filter.Theirs)
	}
	return items, nil
}

// order is the text behind ORDER BY. It sorts by what is shown: an order by
// what is left out would tell it.
func (l *sharedListing) order(o Order) string {
	updated, tags := `r.updated`, `r.tags`
	if l.filter.Theirs {
		updated = `CASE WHEN r.updated < x.until THEN r.updated ELSE x.until END`
		tags = `CASE WHEN x.until > ` + strconv.FormatInt(l.now, 10) + ` THEN ` + tags + ` ELSE 0 END`
	}
	if o.By == SortNewest {
		o.Descending = true
	}
	by := map[Column]string{
		SortNewest: updated, SortUpdated: updated, SortName: `r.name`, SortTags: tags, SortOrg: orgOf, SortPublic: `r.public`,
		SortAccount: `(SELECT a.name FROM account a WHERE a.id = r.account)`,
	}[o.By]
	if o.Descending {
		return by + ` DESC, r.id DESC`
	}
	return by + `, r.id`
}

// stretchSize is how many repositories are looked at together where a filter
// has passed over those before.
const stretchSize = 1000

// stretch finds the next n repositories below before that are shared with the
// account, whatever the filter says: their lowest id, and whether there may be
// more. Of each target it reads as many rows as can be among them.
func (l *sharedListing) stretch(tx *db.Tx, before int64, n, round int) (low int64, more bool, err error) {
	if !l.filter.Theirs {
		return 0, false, nil // an index has them in order
	}
	if round > 0 {
		n = max(n, stretchSize)
	}
	var q sharedQuery
	b, limit := q.arg(before), q.arg(n)
	var streams []string
	for i, t := range l.targets {
		streams = append(streams, `SELECT repository FROM (SELECT s.repository FROM share s WHERE s.target = `+q.arg(string(t))+
			` AND s.repository < `+b+` ORDER BY s.repository DESC LIMIT `+limit+`) s`+strconv.Itoa(i))
	}
	ids, err := db.All[int64](tx.Context(), tx, strings.Join(streams, ` UNION `)+` ORDER BY repository DESC LIMIT `+limit, q.args...)
	if err != nil || len(ids) < n {
		return 0, false, err
	}
	return ids[len(ids)-1], true, nil
}

// between reads the first n rows with low <= id < before, the greatest first.
func (l *sharedListing) between(tx *db.Tx, low, before int64, n int) ([]SharedRepo, error) {
	if n <= 0 {
		return nil, errors.New("registry: a list without rows")
	}
	var q sharedQuery
	lo, hi := q.arg(low), q.arg(before)
	from := ``
	if l.filter.Theirs {
		from = ` FROM ` + l.rules(&q, ` AND s.repository >= `+lo+` AND s.repository < `+hi) + ` JOIN repository r ON r.id = x.repository WHERE r.account <> ` + q.arg(l.account)
	} else {
		from = ` FROM repository r WHERE r.account = ` + q.arg(l.account) + ` AND r.shares > 0`
	}
	rows := `SELECT r.id, ` + l.until() + ` AS until` + from + ` AND r.id >= ` + lo + ` AND r.id < ` + hi + l.conditions(&q) + ` ORDER BY r.id DESC LIMIT ` + q.arg(n)
	return l.items(tx, &q, n, rows, `r.id DESC`)
}
