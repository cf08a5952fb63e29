package iam

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/fault"
)

// A clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

const (
	adminPassword = "correct horse"
	alicePassword = "alice's secret"
)

// A world has the first account with its administrator, and an account acme
// with an administrator (boss) and a user (alice).
type world struct {
	*Authority
	t     testing.TB
	d     *db.DB
	clock *clock
	acme  Account
	boss  Caller
	alice Caller
}

var cheap = Argon{Memory: 8, Passes: 1}

func master() []byte { return bytes.Repeat([]byte{7}, MasterKeySize) }

func authority(t testing.TB, d *db.DB, c *clock, set ...func(*Options)) *Authority {
	t.Helper()
	o := Options{Master: master(), Argon: cheap, Now: c.now}
	for _, s := range set {
		s(&o)
	}
	a, err := New(t.Context(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func empty(t testing.TB, set ...func(*Options)) *world {
	t.Helper()
	c := newClock()
	_, bench := t.(*testing.B)
	d := dbtest.Open(t, func(o *db.Options) { o.Now, o.Twice = c.now, !bench })
	return &world{Authority: authority(t, d, c, set...), t: t, d: d, clock: c}
}

func open(t testing.TB, set ...func(*Options)) *world {
	t.Helper()
	w := empty(t, set...)
	if created, generated, err := w.Bootstrap(t.Context(), adminPassword); err != nil || !created || generated != "" {
		t.Fatalf("Bootstrap = %v, %q, %v", created, generated, err)
	}
	var err error
	if w.acme, err = w.CreateAccount(t.Context(), Operator(), "acme"); err != nil {
		t.Fatal(err)
	}
	w.boss = w.user("acme", "boss", adminPassword, true)
	w.alice = w.user("acme", "alice", alicePassword, false)
	return w
}

func (w *world) user(account, name, password string, admin bool) Caller {
	w.t.Helper()
	u, err := w.CreateUser(w.t.Context(), Operator(), account, name, password, admin)
	if err != nil {
		w.t.Fatal(err)
	}
	return Caller{Account: u.Account, AccountName: u.AccountName, User: u.ID, UserName: u.Name}
}

func (w *world) key(who Caller) Key {
	w.t.Helper()
	k, err := w.CreateKey(w.t.Context(), Operator(), who.AccountName, who.UserName, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

// update runs fn in a transaction.
func (w *world) update(fn func(*db.Tx) error) error {
	_, err := db.Update(w.t.Context(), w.d, func(tx *db.Tx) (struct{}, error) { return struct{}{}, fn(tx) })
	return err
}

// org makes an organization, repo a repository in it.
func (w *world) org(account, name string) Resource {
	w.t.Helper()
	on := Resource{Account: account, Name: name}
	w.must(w.update(func(tx *db.Tx) (err error) {
		on.Organization, err = db.One[int64](tx.Context(), tx, `INSERT INTO organization (account, name, creator, creator_name, created)
			VALUES ($1, $2, '', '', 0) RETURNING id`, account, name)
		return err
	}))
	return on
}

func (w *world) repo(on Resource, name string, public bool) Resource {
	w.t.Helper()
	on.Name, on.Public = on.Name+"/"+name, public
	w.must(w.update(func(tx *db.Tx) (err error) {
		on.Repository, err = db.One[int64](tx.Context(), tx, `INSERT INTO repository
			(organization, account, path, name, public, category, description, creator, creator_name, created, updated)
			VALUES ($1, $2, $3, $4, $5, 'other', '', '', '', 0, 0) RETURNING id`, on.Organization, on.Account, on.Name, name, public)
		return err
	}))
	return on
}

// give grants rights on the organization and the repository, None: none.
func (w *world) give(to Caller, on Resource, org, repo Right) {
	w.t.Helper()
	w.must(w.update(func(tx *db.Tx) error {
		if org != None {
			if err := w.GrantOrg(tx, Operator(), on, to.User, org); err != nil {
				return err
			}
		}
		if repo != None {
			return w.GrantRepo(tx, Operator(), on, to.User, repo)
		}
		return nil
	}))
}

// allow asks by rows, through the cache, and as a probe; all agree.
func (w *world) allow(who Caller, do Action, on Resource) error {
	w.t.Helper()
	rows := w.update(func(tx *db.Tx) error { return w.Allow(tx, who, do, on) })
	for range 2 { // cold and warm
		cached := w.Check(w.t.Context(), who, do, on)
		if fault.CodeOf(rows) != fault.CodeOf(cached) || rows != nil && rows.Error() != cached.Error() {
			w.t.Errorf("%v: %s on %+v: Allow says %v, Check says %v", who, do, on, rows, cached)
		}
	}
	may, err := w.May(w.t.Context(), who, do, on)
	if err != nil || may != (rows == nil) {
		w.t.Errorf("%v: %s on %+v: Allow says %v, May says %v, %v", who, do, on, rows, may, err)
	}
	return rows
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// want fails the test unless err has the code.
func (w *world) want(err error, code fault.Code) {
	w.t.Helper()
	if fault.CodeOf(err) != code {
		w.t.Errorf("error is %v, want %q", err, code)
	}
}

// quiet fails the test if fn runs a statement.
func (w *world) quiet(what string, fn func()) {
	w.t.Helper()
	var n int64
	for range 3 { // a poll in the background may run one beside it
		before := w.d.Stats().Statements
		fn()
		if n = w.d.Stats().Statements - before; n == 0 {
			return
		}
	}
	w.t.Errorf("%s took %d statements", what, n)
}

// unplug makes every statement of the authority fail until the returned
// function is called.
func (w *world) unplug() (plug func()) {
	w.t.Helper()
	gone := dbtest.Open(w.t)
	w.must(gone.Close())
	live := w.db
	w.db = gone
	return func() { w.db = live }
}

// freshen lets caches be used after the clock was moved.
func (w *world) freshen() {
	w.t.Helper()
	if !w.exact {
		w.must(w.poll(w.t.Context()))
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	d := dbtest.Open(t)
	for name, set := range map[string]func(*Options){
		"short master key": func(o *Options) { o.Master = o.Master[:31] },
		"no master key":    func(o *Options) { o.Master = nil },
		"region":           func(o *Options) { o.Region = "north/1" },
		"life":             func(o *Options) { o.TokenLife = time.Millisecond },
	} {
		o := Options{Master: master(), Argon: cheap}
		set(&o)
		if _, err := New(t.Context(), d, o); !errors.Is(err, ErrNotBegun) || errors.Is(err, ErrOtherMaster) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMasterKeyBelongsToTheDatabase(t *testing.T) {
	d := dbtest.Open(t)
	c := newClock()
	a := authority(t, d, c)
	sealed := a.Seal("row 1", []byte("secret"))

	if _, err := New(t.Context(), d, Options{Master: bytes.Repeat([]byte{8}, MasterKeySize), Argon: cheap}); !errors.Is(err, ErrOtherMaster) ||
		!strings.Contains(err.Error(), "does not belong to this database") {
		t.Errorf("another master key: %v", err)
	}
	b := authority(t, d, c)
	if got, err := b.Unseal("row 1", sealed); err != nil || string(got) != "secret" {
		t.Errorf("Unseal = %q, %v", got, err)
	}
	if _, err := b.Unseal("row 2", sealed); err == nil {
		t.Error("a sealed value was opened for another row")
	}
	if bytes.Equal(sealed, a.Seal("row 1", []byte("secret"))) {
		t.Error("two seals of one value are equal")
	}
	for i := range sealed {
		bent := bytes.Clone(sealed)
		bent[i] ^= 1
		if _, err := b.Unseal("row 1", bent); err == nil {
			t.Errorf("byte %d was changed and nobody noticed", i)
		}
		if _, err := b.Unseal("row 1", sealed[:i]); err == nil {
			t.Errorf("%d bytes were opened", i)
		}
	}
}

func TestBootstrap(t *testing.T) {
	w := empty(t, func(o *Options) { o.Region = "north-4" })
	_, _, err := w.Bootstrap(t.Context(), "short")
	w.want(err, fault.Invalid)

	created, password, err := w.Bootstrap(t.Context(), "")
	if err != nil || !created || len(password) != generatedSize {
		t.Fatalf("Bootstrap = %v, %q, %v", created, password, err)
	}
	if again, generated, err := w.Bootstrap(t.Context(), "another password"); err != nil || again || generated != "" {
		t.Fatalf("the second Bootstrap = %v, %q, %v", again, generated, err)
	}
	for _, user := range []string{"admin", "admin/admin"} {
		who, err := w.Password(t.Context(), user, password, "")
		if err != nil || who.String() != "admin/admin" {
			t.Errorf("%s: %v, %v", user, who, err)
		}
		if ok, err := w.Administers(t.Context(), who); err != nil || !ok {
			t.Errorf("%s is not an administrator: %v", user, err)
		}
	}
	projects, err := w.Projects(t.Context(), Operator(), "")
	if err != nil || len(projects) != 1 || projects[0].Name != "north-4" {
		t.Errorf("projects = %+v, %v", projects, err)
	}
}

func TestCallers(t *testing.T) {
	alice := Caller{Account: "1", AccountName: "acme", User: "2", UserName: "alice"}
	byKey := alice
	byKey.Key = "AK"
	for _, c := range []struct {
		who               Caller
		name              string
		anonymous, system bool
	}{
		{Caller{}, "anonymous", true, false},
		{alice, "acme/alice", false, false},
		{byKey, "acme/alice@AK", false, false},
		{System("collector"), "system:collector", false, true},
		{Operator(), "operator", false, true},
	} {
		if c.who.String() != c.name || c.who.Anonymous() != c.anonymous || c.who.System() != c.system {
			t.Errorf("%#v is %q, anonymous %v, system %v", c.who, c.who, c.who.Anonymous(), c.who.System())
		}
	}
	other := Account{ID: "9", Name: "other"}
	if alice.In(other) != alice {
		t.Error("a user went to another account")
	}
	if got := Operator().In(other); got.Account != "9" || got.AccountName != "other" || !got.System() {
		t.Errorf("Operator().In = %#v", got)
	}
}

func TestCloseAgain(t *testing.T) {
	w := open(t)
	w.must(w.Close())
	w.must(w.Close())
}

func (w *world) count(table string) int64 {
	w.t.Helper()
	n, err := db.One[int64](w.t.Context(), w.d, `SELECT count(*) FROM `+table)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}
