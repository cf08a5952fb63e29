package trigger

import (
	"context"
	"strings"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/kube"
)

// ClusterPatch changes what is not nil. A cluster keeps its id and its name, by
// which triggers find it.
type ClusterPatch struct {
	Login      Login // given: with whole credentials, or with nothing but these
	Namespaces *[]string
	Marked     *bool
	Force      bool // also where the cluster does not answer as it must, or triggers lose theirs
}

// UpdateCluster changes a cluster. Stored credentials are never sent to another
// server, nor to one whose certificate is checked otherwise: whoever changes
// that gives new ones. Errors: as Register, RuleUnknown, InUse.
func (t *Triggers) UpdateCluster(ctx context.Context, who iam.Caller, id string, p ClusterPatch) error {
	if err := t.iam.Check(ctx, who, iam.UpdateCluster, iam.Resource{Account: who.Account}); err != nil {
		return err
	}
	c, err := clusterByID(ctx, t.db, who.Account, id, "")
	if err != nil {
		return err
	}
	old := c
	if p.Namespaces != nil {
		if err := CheckNamespaces(*p.Namespaces); err != nil {
			return err
		}
		c.Namespaces = strings.Join(*p.Namespaces, ",")
	}
	if p.Login.given() || p.Namespaces != nil {
		if err := t.renew(ctx, &c, p); err != nil {
			return err
		}
	}
	return t.update(ctx, func(tx *db.Tx) error {
		if err := t.iam.Allow(tx, who, iam.UpdateCluster, iam.Resource{Account: who.Account}); err != nil {
			return err
		}
		now, err := clusterByID(tx.Context(), tx, who.Account, id, tx.ForUpdate())
		if err != nil {
			return err
		}
		if string(now.Credentials) != string(old.Credentials) || now.Namespaces != old.Namespaces {
			return fault.New(fault.InUse, "The cluster %s was changed by somebody else meanwhile; try again.", now.Name)
		}
		marked := now.Marked
		if p.Marked != nil && *p.Marked != now.Marked {
			if marked = *p.Marked; !marked && !p.Force {
				if err := markUnused(tx, now); err != nil {
					return err
				}
			}
			if err := unmark(tx, who.Account); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`UPDATE cluster SET server = $3, credentials = $4, namespaces = $5, version = $6, error = $7, checked = $8, marked = $9, updated = $10
			WHERE account = $1 AND id = $2`, who.Account, id, c.Server, c.Credentials, c.Namespaces, c.Version, c.Error, c.Checked, marked, tx.Micros()); err != nil {
			return err
		}
		return t.iam.Audit(tx, who, iam.UpdateCluster, "cluster "+c.Name, "ok")
	})
}

// markUnused makes sure that no trigger needs the account's marked cluster.
func markUnused(tx *db.Tx, c clusterRow) error {
	n, err := db.One[int](tx.Context(), tx, `SELECT count(*) FROM repo_trigger t JOIN repository r ON r.id = t.repository WHERE r.account = $1 AND t.mode = 'cci'`, c.Account)
	if err == nil && n > 0 {
		err = fault.New(fault.InUse, "Triggers of the mode cci use the cluster %s (%d of them): mark another one instead, or insist by force.", c.Name, n)
	}
	return err
}

// renew puts new credentials, and how the cluster answers to them, into c.
func (t *Triggers) renew(ctx context.Context, c *clusterRow, p ClusterPatch) error {
	a, err := t.unseal(*c)
	if err != nil {
		return err
	}
	if l := p.Login; l.given() {
		if where := (kube.Access{Token: l.Access.Token, ClientCert: l.Access.ClientCert, ClientKey: l.Access.ClientKey}); l.Kubeconfig == "" && where == l.Access {
			l.Access.Server, l.Access.CA, l.Access.ServerName, l.Access.Insecure = a.Server, a.CA, a.ServerName, a.Insecure
		}
		if a, err = t.access(l); err != nil {
			return err
		}
		if c.Credentials, err = t.seal(c.Account, c.ID, a); err != nil {
			return err
		}
		c.Server = a.Server
	}
	f := t.probe(ctx, a, splitNamespaces(c.Namespaces))
	if f.problem != "" && !p.Force {
		return f.fault()
	}
	c.Version, c.Error, c.Checked = f.version, f.problem, f.at.UnixMicro()
	return nil
}

// CheckCluster asks a cluster whether it is there and lets triggers do what they
// need, and shows it with what came of that.
// Errors: RuleUnknown, Denied, Unauthorized.
func (t *Triggers) CheckCluster(ctx context.Context, who iam.Caller, id string) (Cluster, error) {
	if err := t.iam.Check(ctx, who, iam.CheckCluster, iam.Resource{Account: who.Account}); err != nil {
		return Cluster{}, err
	}
	c, err := clusterByID(ctx, t.db, who.Account, id, "")
	if err != nil {
		return Cluster{}, err
	}
	a, err := t.unseal(c)
	if err != nil {
		return Cluster{}, err
	}
	f := t.probe(ctx, a, splitNamespaces(c.Namespaces))
	return db.Update(ctx, t.db, func(tx *db.Tx) (Cluster, error) {
		if err := t.iam.Allow(tx, who, iam.CheckCluster, iam.Resource{Account: who.Account}); err != nil {
			return Cluster{}, err
		}
		c, err := clusterByID(tx.Context(), tx, who.Account, id, tx.ForUpdate())
		if err != nil {
			return Cluster{}, err
		}
		if f.version != "" {
			c.Version = f.version
		}
		c.Error, c.Checked = f.problem, f.at.UnixMicro()
		_, err = tx.Exec(`UPDATE cluster SET version = $3, error = $4, checked = $5 WHERE account = $1 AND id = $2`, c.Account, c.ID, c.Version, c.Error, c.Checked)
		return c.cluster(), err
	})
}
