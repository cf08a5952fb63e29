package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/kube"
)

// A Cluster is a Kubernetes API server that triggers of an account may use. Its
// credentials are never shown.
type Cluster struct {
	ID, Name    string
	Server      string
	Namespaces  []string // where triggers may act; empty: in all
	Marked      bool     // triggers of the mode cci act there
	Version     string   // of Kubernetes; empty: it was never reached
	Error       string   // of the last check or use; empty: it went well
	Checked     time.Time
	Creator     string // user id
	CreatorName string
	Created     time.Time
	Updated     time.Time
}

// maxClusters is how many an account may register.
const maxClusters = 100

type clusterRow struct {
	Account, ID, Name, Server, Namespaces string
	Marked                                bool
	Version, Error                        string
	Checked                               int64
	Creator, CreatorName                  string
	Created, Updated                      int64
	Credentials                           []byte
}

const clusterColumns = `account, id, name, server, namespaces, marked, version, error, checked, creator, creator_name, created, updated, credentials`

func (c clusterRow) cluster() Cluster {
	at := func(us int64) time.Time { return time.UnixMicro(us).UTC() }
	return Cluster{ID: c.ID, Name: c.Name, Server: c.Server, Namespaces: splitNamespaces(c.Namespaces), Marked: c.Marked, Version: c.Version, Error: c.Error,
		Checked: at(c.Checked), Creator: c.Creator, CreatorName: c.CreatorName, Created: at(c.Created), Updated: at(c.Updated)}
}

func splitNamespaces(s string) []string {
	if s == "" {
		return []string{}
	}
	return strings.Split(s, ",")
}

func clusterUnknown(id string) error {
	return fault.New(fault.RuleUnknown, "The account has no cluster %s.", shown(id))
}

// clusterByID reads a row.
func clusterByID(ctx context.Context, q db.Querier, account, id, lock string) (clusterRow, error) {
	if !isID(id) {
		return clusterRow{}, clusterUnknown(id)
	}
	c, err := db.One[clusterRow](ctx, q, `SELECT `+clusterColumns+` FROM cluster WHERE account = $1 AND id = $2`+lock, account, id)
	if errors.Is(err, db.ErrNone) {
		err = clusterUnknown(id)
	}
	return c, err
}

// Clusters lists those of the caller's account by name.
// Errors: Denied, Unauthorized.
func (t *Triggers) Clusters(ctx context.Context, who iam.Caller) ([]Cluster, error) {
	if err := t.iam.Check(ctx, who, iam.ListClusters, iam.Resource{Account: who.Account}); err != nil {
		return nil, err
	}
	rows, err := db.All[clusterRow](ctx, t.db, `SELECT `+clusterColumns+` FROM cluster WHERE account = $1 ORDER BY name LIMIT $2`, who.Account, maxClusters)
	if err != nil {
		return nil, err
	}
	list := make([]Cluster, len(rows))
	for i, c := range rows {
		list[i] = c.cluster()
	}
	return list, nil
}

// Cluster shows one. Errors: RuleUnknown, Denied, Unauthorized.
func (t *Triggers) Cluster(ctx context.Context, who iam.Caller, id string) (Cluster, error) {
	if err := t.iam.Check(ctx, who, iam.ShowCluster, iam.Resource{Account: who.Account}); err != nil {
		return Cluster{}, err
	}
	c, err := clusterByID(ctx, t.db, who.Account, id, "")
	return c.cluster(), err
}

// seal and unseal keep the credentials of a cluster under its own name.
func (t *Triggers) seal(account, id string, a kube.Access) ([]byte, error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	return t.iam.Seal("cluster:"+account+"/"+id, plain), nil
}

func (t *Triggers) unseal(c clusterRow) (a kube.Access, err error) {
	plain, err := t.iam.Unseal("cluster:"+c.Account+"/"+c.ID, c.Credentials)
	if err == nil {
		err = json.Unmarshal(plain, &a)
	}
	if err != nil {
		err = fmt.Errorf("trigger: the credentials of the cluster %s: %w", c.ID, err)
	}
	return a, err
}

// DeleteCluster forgets a cluster. One that triggers act in stays, unless force
// is set: they fail from then on. Errors: RuleUnknown, InUse, Denied,
// Unauthorized.
func (t *Triggers) DeleteCluster(ctx context.Context, who iam.Caller, id string, force bool) error {
	return t.update(ctx, func(tx *db.Tx) error {
		if err := t.iam.Allow(tx, who, iam.DeleteCluster, iam.Resource{Account: who.Account}); err != nil {
			return err
		}
		c, err := clusterByID(tx.Context(), tx, who.Account, id, tx.ForUpdate())
		if err != nil {
			return err
		}
		if !force {
			if err := unused(tx, c, "deleted"); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`DELETE FROM cluster WHERE account = $1 AND id = $2`, who.Account, id); err != nil {
			return err
		}
		return t.iam.Audit(tx, who, iam.DeleteCluster, "cluster "+c.Name, "ok")
	})
}

// unused makes sure that no trigger acts in a cluster. Errors: InUse.
func unused(tx *db.Tx, c clusterRow, what string) error {
	query := `SELECT count(*) FROM repo_trigger t JOIN repository r ON r.id = t.repository
		WHERE r.account = $1 AND (t.mode = 'cce' AND (t.cluster_id = $2 OR t.cluster_id = '' AND t.cluster_name = $3)`
	if c.Marked {
		query += ` OR t.mode = 'cci'`
	}
	n, err := db.One[int](tx.Context(), tx, query+`)`, c.Account, c.ID, c.Name)
	if err == nil && n > 0 {
		err = fault.New(fault.InUse, "Triggers use the cluster %s (%d of them), so it is not %s: delete them first, or insist by force.", c.Name, n, what)
	}
	return err
}
