package registry

import (
	"context"
	"errors"
	"slices"
	"strings"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// A ClusterKey is what the registry knows of a registered cluster; the rest is
// the package trigger's.
type ClusterKey struct {
	ID, Name   string
	Namespaces string // parted by commas; empty: all
}

// Has reports a namespace that triggers may act in.
func (c ClusterKey) Has(namespace string) bool {
	return c.Namespaces == "" || slices.Contains(strings.Split(c.Namespaces, ","), namespace)
}

// FindCluster finds the cluster that a trigger of the account means. A fault
// names the member as clients write it. Errors: Invalid.
func FindCluster(ctx context.Context, q db.Querier, account string, t Trigger, lock string) (ClusterKey, error) {
	where, args := "name = $2", []any{account, t.ClusterName}
	switch {
	case t.Mode == Marked:
		where, args = "marked", args[:1]
	case t.ClusterID != "":
		where, args[1] = "id = $2", t.ClusterID
	}
	c, err := db.One[ClusterKey](ctx, q, `SELECT id, name, namespaces FROM cluster WHERE account = $1 AND `+where+lock, args...)
	switch {
	case errors.Is(err, db.ErrNone) && t.Mode == Marked:
		return c, fault.New(fault.Invalid, "trigger_mode is %s, and no cluster of the account is marked for that: mark one, or name one in the mode %s.", Marked, ByName)
	case errors.Is(err, db.ErrNone) && t.ClusterID != "":
		return c, fault.New(fault.Invalid, "cluster_id is the id of a cluster that the account has registered; %s is none.", shown(t.ClusterID))
	case errors.Is(err, db.ErrNone):
		return c, fault.New(fault.Invalid, "cluster_name is the name of a cluster that the account has registered; %s is none.", shown(t.ClusterName))
	case err == nil && t.Mode == ByName && t.ClusterName != "" && t.ClusterName != c.Name:
		return c, fault.New(fault.Invalid, "cluster_name is not the name of the cluster that cluster_id names, which is %s.", shown(c.Name))
	}
	return c, err
}

// checkCluster makes sure, where a trigger is made, that its cluster is there
// and stays so until the trigger is.
func checkCluster(tx *db.Tx, account string, t Trigger) error {
	c, err := FindCluster(tx.Context(), tx, account, t, tx.ForKeyShare())
	if err != nil {
		return err
	}
	if !c.Has(t.Namespace) {
		return fault.New(fault.Invalid, "cluster_ns is one of the namespaces that the cluster %s was registered for: %s.", shown(c.Name), c.Namespaces)
	}
	return nil
}
