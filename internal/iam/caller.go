package iam

// Caller is who asks. Every method of the core takes one. The zero value is
// anonymous. Callers are made here only: by a login, by System, by Operator, or
// by Resume.
type Caller struct {
	Account, AccountName string // the tenant: id and name
	User, UserName       string // id and name; both empty for callers that are no user
	Key                  string // the access key or the credential that logged in; empty: a password did
	kind                 kind
	version              int64 // of the password, where a token of the management API says who it is

	tokens string // ids of that token and of those it was made from, with blanks between
}

type kind uint8

const (
	kindUser kind = iota // or anonymous, without a user
	kindSystem
	kindOperator
)

// System is Berth itself at work, such as the collector. It may do everything
// and stands in the audit as "system:name".
func System(name string) Caller { return Caller{UserName: name, kind: kindSystem} }

// Operator is whoever runs the berth command on the machine. It may do
// everything.
func Operator() Caller { return Caller{kind: kindOperator} }

// Operator reports the operator, whom no quota binds.
func (c Caller) Operator() bool { return c.kind == kindOperator }

// Anonymous reports that nobody is logged in.
func (c Caller) Anonymous() bool { return c.kind == kindUser && c.User == "" }

// System reports a caller that is no user and may do everything: Berth itself
// or the operator.
func (c Caller) System() bool { return c.kind != kindUser }

// In returns a system caller at work in an account: what it creates belongs to
// that account and its audit rows stand there. Users stay as they are.
func (c Caller) In(a Account) Caller {
	if c.System() {
		c.Account, c.AccountName = a.ID, a.Name
	}
	return c
}

// Beside returns the caller, of whom another token came with the same request:
// what he makes ends with that one, too.
func (c Caller) Beside(token Caller) Caller {
	c.tokens += " " + token.tokens
	return c
}

// String is the caller's name in the audit and in histories: "account/user",
// "account/user@KEY", "account/user#CREDENTIAL", "system:name", "operator" or "anonymous".
func (c Caller) String() string {
	switch {
	case c.kind == kindSystem:
		return "system:" + c.UserName
	case c.kind == kindOperator:
		return "operator"
	case c.User == "":
		return "anonymous"
	case isCredentialID(c.Key):
		return c.AccountName + "/" + c.UserName + "#" + c.Key
	case c.Key != "":
		return c.AccountName + "/" + c.UserName + "@" + c.Key
	}
	return c.AccountName + "/" + c.UserName
}
