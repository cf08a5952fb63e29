package registry

import (
	"context"
	"fmt"
	"strings"

	"berth.dev/berth/internal/db"
)

// A list of repositories is read in one of two ways. It walks an index that is
// sorted as the list is, and passes over what does not match; or it gathers
// all that match, by an index that no push changes, and sorts them. How many
// rows match is known beforehand, so the cheaper way is known as well: where
// many match a walk has its page soon, where few do they are sorted soon.
// SQLite would guess.

// A repoScope is where a list looks for repositories.
type repoScope struct {
	account string
	org     int64 // this organization alone; 0: all
	orgName string
	orgLike string // organizations with such names; "": all
	user    string // what this user has a right on; "": everything
	nothing bool
}

// set reports a scope that is neither an account nor one organization.
func (sc repoScope) set() bool { return sc.user != "" || sc.orgLike != "" }

// A statement is a text with its arguments.
type statement struct {
	strings.Builder
	args []any
}

// arg adds an argument and returns its place.
func (s *statement) arg(v any) string {
	s.args = append(s.args, v)
	return fmt.Sprintf("$%d", len(s.args))
}

// filters are the conditions of the filter. Where indexes are not to be used
// for them they are written so that no index fits.
func (l *repoListing) filters(s *statement, indexed bool) string {
	category, public, name := "r.category", "r.public", "r.name"
	if !indexed {
		category, public, name = "coalesce(r.category, '')", "coalesce(r.public, false)", "coalesce(r.name, '')"
	}
	var b strings.Builder
	if c := l.filter.Category; c != "" {
		b.WriteString(" AND " + category + " = " + s.arg(c))
	} else if l.filter.Public != nil && indexed && !l.scope.set() && l.scope.org == 0 {
		b.WriteString(" AND r.category IN ('" + strings.Join(categories, "', '") + "')") // the index begins with it
	}
	if p := l.filter.Public; p != nil {
		b.WriteString(" AND " + public + " = " + s.arg(*p))
	}
	if n := l.filter.Name; n != "" {
		pattern := "%" + escapeLike(n) + "%"
		// An organization's name has no slash: what follows the first one is
		// the repository's, and the index on paths is enough.
		switch {
		case !indexed:
		case l.scope.org != 0:
			name, pattern = "r.path", escapeLike(l.scope.orgName)+"/"+pattern
		case l.scope.set():
			name, pattern = "r.path", "%/"+pattern
		}
		b.WriteString(" AND " + name + " LIKE " + s.arg(pattern) + ` ESCAPE '\'`)
	}
	return b.String()
}

// matching selects the ids of all that match.
func (l *repoListing) matching(s *statement) string {
	sc := l.scope
	filters := func() string { return l.filters(s, true) }
	switch {
	case sc.user == "" && sc.orgLike != "":
		return `SELECT r.id FROM organization o JOIN repository r ON r.organization = o.id WHERE o.account = ` + s.arg(sc.account) + sc.named(s) + filters()
	case sc.user == "" && sc.org != 0:
		return `SELECT r.id FROM repository r WHERE r.organization = ` + s.arg(sc.org) + filters()
	case sc.user == "":
		return `SELECT r.id FROM repository r WHERE r.account = ` + s.arg(sc.account) + filters()
	case sc.org != 0:
		return `SELECT r.id FROM repo_grant g JOIN repository r ON r.id = g.repository WHERE g.iam_user = ` + s.arg(sc.user) +
			` AND r.organization = ` + s.arg(sc.org) + filters()
	}
	return `SELECT r.id FROM org_grant g JOIN organization o ON o.id = g.organization JOIN repository r ON r.organization = o.id
			WHERE g.iam_user = ` + s.arg(sc.user) + sc.named(s) + filters() + `
		UNION SELECT r.id FROM repo_grant g JOIN repository r ON r.id = g.repository JOIN organization o ON o.id = r.organization
			WHERE g.iam_user = ` + s.arg(sc.user) + sc.named(s) + filters()
}

// named is the condition on the name of organization o.
func (sc repoScope) named(s *statement) string {
	if sc.orgLike == "" {
		return ""
	}
	return ` AND o.name LIKE ` + s.arg(sc.orgLike) + ` ESCAPE '\'`
}

// orgs selects the organizations all of whose repositories are in a set.
func (sc repoScope) orgs(s *statement) string {
	if sc.user != "" {
		return `SELECT o.id FROM org_grant g JOIN organization o ON o.id = g.organization WHERE g.iam_user = ` + s.arg(sc.user) + sc.named(s)
	}
	return `SELECT o.id FROM organization o WHERE o.account = ` + s.arg(sc.account) + sc.named(s)
}

// count finds out how many match, and among how many they are.
func (l *repoListing) count(ctx context.Context) error {
	var s statement
	sc := l.scope
	const kinds = ` category, public, CAST(sum(n) AS BIGINT) FROM repository_count WHERE account = `
	s.WriteString(`SELECT 0, ` + kinds + s.arg(sc.account) + ` AND organization = ` + s.arg(sc.org) + ` GROUP BY category, public`)
	switch {
	case !sc.set():
	case sc.org != 0:
		s.WriteString(` UNION ALL SELECT 1, r.category, r.public, count(*) FROM repo_grant g JOIN repository r ON r.id = g.repository
			WHERE g.iam_user = ` + s.arg(sc.user) + ` AND r.organization = ` + s.arg(sc.org) + ` GROUP BY r.category, r.public`)
	default:
		s.WriteString(` UNION ALL SELECT 1, ` + kinds + s.arg(sc.account) + ` AND organization IN (` + sc.orgs(&s) + `) GROUP BY category, public`)
		if sc.user != "" {
			s.WriteString(` UNION ALL SELECT 1, r.category, r.public, count(*) FROM repo_grant g JOIN repository r ON r.id = g.repository
				JOIN organization o ON o.id = r.organization WHERE g.iam_user = ` + s.arg(sc.user) + sc.named(&s) + `
				AND NOT EXISTS (SELECT 1 FROM org_grant h WHERE h.iam_user = g.iam_user AND h.organization = o.id) GROUP BY r.category, r.public`)
		}
	}
	type row struct {
		Set      int64
		Category string
		Public   bool
		N        int64
	}
	rows, err := db.All[row](ctx, l.r.db, s.String(), s.args...)
	if err != nil {
		return err
	}
	for _, k := range rows {
		if k.Set == 0 {
			l.among += k.N
		}
		if (k.Set == 1) == sc.set() && (l.filter.Category == "" || l.filter.Category == k.Category) &&
			(l.filter.Public == nil || *l.filter.Public == k.Public) {
			l.total += k.N
		}
	}
	if l.filter.Name == "" || l.total == 0 {
		return nil
	}
	return l.search(ctx)
}

// maxFound is how many repositories a search remembers, to look once at all
// names and not twice.
const maxFound = 1 << 10

// search counts those whose names match.
func (l *repoListing) search(ctx context.Context) error {
	var s statement
	s.WriteString(`SELECT q.id FROM (` + l.matching(&s) + `) q LIMIT ` + s.arg(maxFound+1))
	found, err := db.All[int64](ctx, l.r.db, s.String(), s.args...)
	if err != nil {
		return err
	}
	if l.total = int64(len(found)); len(found) <= maxFound {
		l.found = found
		return nil
	}
	s = statement{}
	s.WriteString(`SELECT count(*) FROM (` + l.matching(&s) + `) q`)
	l.total, err = db.One[int64](ctx, l.r.db, s.String(), s.args...)
	return err
}

// gathered selects the ids of all that match, from what was found already or by
// looking for them.
func (l *repoListing) gathered(s *statement) string {
	if len(l.found) == 0 {
		return l.matching(s)
	}
	return s.list(l.found)
}

// list adds numbers as arguments. The last one stands several times, so that
// there are few different texts.
func (s *statement) list(numbers []int64) string {
	size := 1
	for size < len(numbers) {
		size *= 4
	}
	from := len(s.args) + 1
	for i := range size {
		s.args = append(s.args, numbers[min(i, len(numbers)-1)])
	}
	return placeholders(from, size)
}

// walks reports whether it is cheaper to walk an index of l.among rows until
// need rows match than to gather and sort the l.total rows that match.
func (l *repoListing) walks(need int) bool {
	const gathering = 3 // times what a step costs: a row is looked up, and sorted
	return float64(min(int64(need), l.total))*float64(l.among)/float64(l.total) <= gathering*float64(l.total)
}

// source is where a walk goes.
func (l *repoListing) source(s *statement) string {
	sc := l.scope
	if sc.org != 0 {
		text := `r.organization = ` + s.arg(sc.org)
		if sc.user != "" {
			text += ` AND r.id + 0 IN (SELECT g.repository FROM repo_grant g WHERE g.iam_user = ` + s.arg(sc.user) + `)`
		}
		return text
	}
	text := `r.account = ` + s.arg(sc.account)
	if !sc.set() {
		return text
	}
	text += ` AND (r.organization + 0 IN (` + sc.orgs(s) + `)`
	if sc.user != "" {
		text += ` OR r.id + 0 IN (SELECT x.id FROM repo_grant g JOIN repository x ON x.id = g.repository JOIN organization o ON o.id = x.organization
			WHERE g.iam_user = ` + s.arg(sc.user) + sc.named(s) + `)`
	}
	return text + `)`
}

// page reads one page.
func (l *repoListing) page(ctx context.Context, o Order, w Window) ([]RepoItem, error) {
	limit, offset := clampPage(w.Limit), max(w.Offset, 0)
	if int64(offset) >= l.total || limit == 0 {
		return []RepoItem{}, nil
	}
	order, sorted := l.order(o)
	join := ""
	if o.By == SortOrg {
		join = ` JOIN organization o ON o.id = r.organization`
	}
	var s statement
	s.WriteString(`SELECT ` + itemColumns(s.arg(inlineTags(limit))) + ` FROM (SELECT r.id FROM repository r` + join + ` WHERE `)
	switch {
	case l.found == nil && sorted && l.walks(offset+limit):
		s.WriteString(l.source(&s) + l.filters(&s, false))
	case l.found == nil && !sorted && !l.scope.set():
		s.WriteString(l.source(&s) + l.filters(&s, true)) // no index could mislead
	default:
		s.WriteString(`r.id IN (` + l.gathered(&s) + `)`)
	}
	s.WriteString(` ORDER BY ` + order + ` LIMIT ` + s.arg(limit) + ` OFFSET ` + s.arg(offset) + `) p
		CROSS JOIN repository r JOIN account a ON a.id = r.account` + join + ` WHERE r.id = p.id ORDER BY ` + order)
	return readItems(ctx, l.r.db, s.String(), s.args...)
}

// below reads the first n rows with an id below before.
func (l *repoListing) below(ctx context.Context, before int64, n int) ([]RepoItem, error) {
	var s statement
	s.WriteString(`SELECT ` + itemColumns(s.arg(inlineTags(n))) + ` FROM (SELECT r.id FROM repository r WHERE `)
	if l.found == nil && l.scope.org == 0 && l.walks(n) {
		s.WriteString(l.source(&s) + l.filters(&s, false))
	} else {
		s.WriteString(`r.id IN (` + l.gathered(&s) + `)`)
	}
	s.WriteString(` AND r.id < ` + s.arg(before) + ` ORDER BY r.id DESC LIMIT ` + s.arg(n) + `) p
		CROSS JOIN repository r JOIN account a ON a.id = r.account WHERE r.id = p.id ORDER BY r.id DESC`)
	return readItems(ctx, l.r.db, s.String(), s.args...)
}

// order is the text behind ORDER BY, and tells whether an index is sorted like
// that.
func (l *repoListing) order(o Order) (text string, sorted bool) {
	by := ""
	switch o.By {
	case SortNewest:
		return `r.updated DESC, r.id DESC`, true
	case SortUpdated:
		by, sorted = `r.updated`, true
	case SortName:
		if l.scope.org != 0 {
			// In one organization paths are sorted as names are.
			if o.Descending {
				return `r.path DESC`, true
			}
			return `r.path`, true
		}
		by, sorted = `r.name`, true
	case SortTags:
		by = `r.tags`
	case SortOrg:
		by = `o.name`
	case SortPublic:
		by = `r.public`
	case SortAccount:
		by, sorted = `r.account`, l.scope.org == 0
	}
	if o.Descending {
		return by + ` DESC, r.id DESC`, sorted
	}
	return by + `, r.id`, sorted
}
