package berthtest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// Login is a name and a password as clients take them.
type Login struct{ User, Password string }

// Admin is the login of the administrator that the first start makes.
func (s *Server) Admin() Login { return Login{"admin", adminPassword} }

// Binary is the path of the program.
func (s *Server) Binary() string { return s.binary }

// Command runs a subcommand of berth on the server's data directory, with
// input as its standard input, and returns its output.
func (s *Server) Command(input string, args ...string) ([]byte, error) {
	var out, problem bytes.Buffer
	c := exec.Command(s.binary, append(args, "--data", s.Data)...)
	c.Env = s.env()
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &out, &problem
	if err := c.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("berth %s: %w\n%s%s", strings.Join(args, " "), err, out.Bytes(), problem.Bytes())
	}
	return out.Bytes(), nil
}

func (s *Server) must(t testing.TB, input string, args ...string) []byte {
	t.Helper()
	out, err := s.Command(input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Org makes an organization and returns its name.
func (s *Server) Org(t testing.TB, name string) string {
	t.Helper()
	s.must(t, "", "org", "create", name)
	return name
}

// User makes a user without any right.
func (s *Server) User(t testing.TB, name string) Login {
	t.Helper()
	l := Login{name, "password of " + name}
	s.must(t, l.Password+"\n", "user", "create", name, "--password-stdin")
	return l
}

// Grant gives a user a right (read, edit or manage) on an organization or a
// repository.
func (s *Server) Grant(t testing.TB, on, user, right string) {
	t.Helper()
	s.must(t, "", "grant", "set", on, user, right)
}

// Revoke takes a right away.
func (s *Server) Revoke(t testing.TB, on, user string) {
	t.Helper()
	s.must(t, "", "grant", "remove", on, user)
}

// Disable keeps a user out.
func (s *Server) Disable(t testing.TB, user string) {
	t.Helper()
	s.must(t, "", "user", "disable", user)
}

// Public lets everyone pull from a repository.
func (s *Server) Public(t testing.TB, name string) {
	t.Helper()
	s.must(t, "", "repo", "public", name)
}

// AccessKey is an access key with everything that a client needs to use it.
type AccessKey struct {
	Access      string `json:"access"`
	Secret      string `json:"secret"`
	User        string `json:"user_id"`
	UserName    string `json:"user_name"`
	Account     string `json:"account_id"`
	AccountName string `json:"account_name"`
	Project     string `json:"project_id"`
	ProjectName string `json:"project_name"`
}

// Login is the key's long-term login: project and access key, and an HMAC by
// the secret key.
func (k AccessKey) Login() Login {
	mac := hmac.New(sha256.New, []byte(k.Secret))
	mac.Write([]byte(k.Access))
	return Login{k.ProjectName + "@" + k.Access, hex.EncodeToString(mac.Sum(nil))}
}

// Key makes an access key of a user and returns its login.
func (s *Server) Key(t testing.TB, user string) Login {
	t.Helper()
	return s.AccessKey(t, "", user).Login()
}

// AccessKey makes an access key of a user. The account "" is the first.
func (s *Server) AccessKey(t testing.TB, account, user string) AccessKey {
	t.Helper()
	var key AccessKey
	if err := json.Unmarshal(s.must(t, "", "key", "create", "--account", account, "--user", user, "--output", "json"), &key); err != nil {
		t.Fatal(err)
	}
	return key
}

// A Credential is an access credential of a user.
type Credential struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
	s      *Server
}

// Credential makes an access credential of a user; more are flags of the
// command, such as --use pull.
func (s *Server) Credential(t testing.TB, user string, more ...string) Credential {
	t.Helper()
	c := Credential{s: s}
	if err := json.Unmarshal(s.must(t, "", append([]string{"credential", "create", "--user", user, "--output", "json"}, more...)...), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// Do disables, enables or deletes the credential.
func (c Credential) Do(t testing.TB, what string) {
	t.Helper()
	c.s.must(t, "", "credential", what, c.ID)
}

// Account makes an account with an administrator of the same name.
func (s *Server) Account(t testing.TB, name string) Login {
	t.Helper()
	s.must(t, "", "account", "create", name)
	l := Login{name, "password of " + name}
	s.must(t, l.Password+"\n", "user", "create", name, "--account", name, "--admin", "--password-stdin")
	return l
}

// Fsck proves the invariants of database and storage, reading every byte.
func (s *Server) Fsck() error {
	out, err := s.Command("", "fsck", "--deep")
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
