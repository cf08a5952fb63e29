package trigger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/kube"
)

// A Login is how a cluster is reached, as an account gives it: a kubeconfig, or
// the members of Access; not both.
type Login struct {
	Kubeconfig string
	Access     kube.Access
}

func (l Login) given() bool { return l.Kubeconfig != "" || l.Access != (kube.Access{}) }

// access reads and checks what was given. Errors: Invalid, Missing.
func (t *Triggers) access(l Login) (kube.Access, error) {
	a := l.Access
	if l.Kubeconfig != "" {
		if a != (kube.Access{}) {
			return a, fault.New(fault.Invalid, "kubeconfig stands for server, token and all the others: give it or them.")
		}
		var err error
		if a, err = kube.ParseConfig(l.Kubeconfig); err != nil {
			return a, err
		}
	}
	if err := a.Check(t.o.Insecure); err != nil {
		return a, err
	}
	_, err := t.o.Dialer.CheckURL(a.Server)
	return a, err
}

// NewCluster is what an account gives to register a cluster.
type NewCluster struct {
	ID         string // empty: one is made up
	Name       string
	Login      Login
	Namespaces []string // where triggers may act; empty: in all
	Marked     bool     // triggers of the mode cci act there
	Force      bool     // also where the cluster does not answer as it must
}

const (
	maxID         = 64
	maxLabel      = 63
	maxNamespaces = 20
)

// reserved is no id: it is an address beside the clusters.
const reserved = "manifest"

func (n NewCluster) check() error {
	switch {
	case n.Name == "":
		return fault.New(fault.Missing, "The member name is missing.")
	case !isID(n.Name):
		return fault.New(fault.Invalid, "name has 1 to %d letters, digits, dots, hyphens and underscores, with a letter or digit at both ends.", maxID)
	case n.ID != "" && !isID(n.ID) || n.ID == reserved:
		return fault.New(fault.Invalid, "id has 1 to %d letters, digits, dots, hyphens and underscores, with a letter or digit at both ends, and is not %s.", maxID, reserved)
	}
	return CheckNamespaces(n.Namespaces)
}

// CheckNamespaces tells whether these can be namespaces of Kubernetes, none of
// them twice. Errors: Invalid.
func CheckNamespaces(list []string) error {
	if len(list) > maxNamespaces {
		return fault.New(fault.Invalid, "namespaces are %d at most; with none of them triggers may act in all.", maxNamespaces)
	}
	for i, ns := range list {
		if !isLabel(ns) || slices.Contains(list[:i], ns) {
			return fault.New(fault.Invalid, "namespaces are names of namespaces of Kubernetes, each once; %s is not.", shown(ns))
		}
	}
	return nil
}

// Register stores a cluster, once it has answered and lets its credentials do
// what a trigger needs. Errors: Invalid, which says what is wrong with it,
// Missing, Exists, Denied, Unauthorized.
func (t *Triggers) Register(ctx context.Context, who iam.Caller, n NewCluster) (Cluster, error) {
	if err := t.iam.Check(ctx, who, iam.CreateCluster, iam.Resource{Account: who.Account}); err != nil {
		return Cluster{}, err
	}
	if err := n.check(); err != nil {
		return Cluster{}, err
	}
	a, err := t.access(n.Login)
	if err != nil {
		return Cluster{}, err
	}
	if n.ID == "" {
		b := make([]byte, 16)
		_, _ = rand.Read(b) // it does not fail
		n.ID = hex.EncodeToString(b)
	}
	f := t.probe(ctx, a, n.Namespaces)
	if f.problem != "" && !n.Force {
		return Cluster{}, f.fault()
	}
	sealed, err := t.seal(who.Account, n.ID, a)
	if err != nil {
		return Cluster{}, err
	}
	return db.Update(ctx, t.db, func(tx *db.Tx) (Cluster, error) {
		if err := t.iam.Allow(tx, who, iam.CreateCluster, iam.Resource{Account: who.Account}); err != nil {
			return Cluster{}, err
		}
		if who.Account == "" {
			return Cluster{}, fault.New(fault.Invalid, "Say which account the cluster is for.")
		}
		count, err := db.One[int](tx.Context(), tx, `SELECT count(*) FROM cluster WHERE account = $1`, who.Account)
		if err != nil {
			return Cluster{}, err
		}
		if count >= maxClusters {
			return Cluster{}, fault.New(fault.Invalid, "The account has %d clusters, which is as many as it may have; delete one first.", count)
		}
		if n.Marked {
			if err := unmark(tx, who.Account); err != nil {
				return Cluster{}, err
			}
		}
		c, err := db.One[clusterRow](tx.Context(), tx, `INSERT INTO cluster (account, id, name, server, credentials, namespaces, marked, version, error, checked,
				creator, creator_name, created, updated)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $10, $10) ON CONFLICT DO NOTHING RETURNING `+clusterColumns,
			who.Account, n.ID, n.Name, a.Server, sealed, strings.Join(n.Namespaces, ","), n.Marked, f.version, f.problem, tx.Micros(), who.User, creatorName(who))
		if errors.Is(err, db.ErrNone) {
			return Cluster{}, fault.New(fault.Exists, "The account has a cluster of this name or id already.")
		}
		if err != nil {
			return Cluster{}, err
		}
		return c.cluster(), t.iam.Audit(tx, who, iam.CreateCluster, "cluster "+n.Name, "ok")
	})
}

// creatorName is who did it, where that is no user.
func creatorName(who iam.Caller) string {
	if who.UserName == "" {
		return who.String()
	}
	return who.UserName
}

func unmark(tx *db.Tx, account string) error {
	_, err := tx.Exec(`UPDATE cluster SET marked = false WHERE account = $1 AND marked`, account)
	return err
}

// isID reports what can be an id or a name of a cluster.
func isID(s string) bool {
	for i := range len(s) {
		c := s[i]
		inner := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !inner && (i == 0 || i == len(s)-1 || strings.IndexByte("._-", c) < 0) {
			return false
		}
	}
	return s != "" && len(s) <= maxID
}

func isLabel(s string) bool {
	return len(s) <= maxLabel && isID(s) && !strings.ContainsAny(s, "._") && strings.ToLower(s) == s
}

// shown makes a stranger's text fit for a message.
func shown(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most]
	}
	return strconv.QuoteToASCII(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return '?'
		}
		return c
	}, s))
}
