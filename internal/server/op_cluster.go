package server

import (
	"context"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/kube"
	"berth.dev/berth/internal/trigger"
)

// NewCluster is the argument of AddCluster: a kubeconfig, or server and token.
type NewCluster struct {
	Named
	ID         string   `json:"id"`
	Kubeconfig string   `json:"kubeconfig"`
	Server     string   `json:"server"`
	Token      string   `json:"token"`
	CA         string   `json:"ca"`
	Namespaces []string `json:"namespaces"`
	Marked     bool     `json:"cci"`
	Force      bool     `json:"force"`
}

// ClusterName is the argument of operations on a cluster, by its id or name.
type ClusterName struct {
	Named
	Force bool `json:"force"`
}

// Cluster is a cluster as the command shows it.
type Cluster struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Server     string    `json:"server"`
	Namespaces []string  `json:"namespaces"`
	Marked     bool      `json:"cci"`
	Version    string    `json:"version"`
	Error      string    `json:"error"`
	Checked    time.Time `json:"checked"`
	Created    time.Time `json:"created"`
}

// AddCluster registers a cluster for an account, once it has answered.
var AddCluster = Op[NewCluster, Cluster]{"cluster.add", func(ctx context.Context, c *core, in NewCluster) (Cluster, error) {
	who, err := c.operatorIn(ctx, in.Account)
	if err != nil {
		return Cluster{}, err
	}
	x, err := c.triggers.Register(ctx, who, trigger.NewCluster{ID: in.ID, Name: in.Name, Namespaces: in.Namespaces, Marked: in.Marked, Force: in.Force,
		Login: trigger.Login{Kubeconfig: in.Kubeconfig, Access: kube.Access{Server: in.Server, Token: in.Token, CA: in.CA}}})
	return cluster(x), err
}}

// ListClusters lists the clusters of an account.
var ListClusters = Op[Named, []Cluster]{"cluster.list", func(ctx context.Context, c *core, in Named) ([]Cluster, error) {
	who, err := c.operatorIn(ctx, in.Account)
	if err != nil {
		return nil, err
	}
	list, err := c.triggers.Clusters(ctx, who)
	out := make([]Cluster, len(list))
	for i, x := range list {
		out[i] = cluster(x)
	}
	return out, err
}}

// CheckCluster asks a cluster how it is and shows it.
var CheckCluster = Op[ClusterName, Cluster]{"cluster.check", func(ctx context.Context, c *core, in ClusterName) (Cluster, error) {
	who, id, err := c.clusterNamed(ctx, in.Named)
	if err != nil {
		return Cluster{}, err
	}
	x, err := c.triggers.CheckCluster(ctx, who, id)
	return cluster(x), err
}}

// DeleteCluster forgets a cluster that no trigger uses, or by force any.
var DeleteCluster = Op[ClusterName, None]{"cluster.delete", func(ctx context.Context, c *core, in ClusterName) (None, error) {
	who, id, err := c.clusterNamed(ctx, in.Named)
	if err != nil {
		return None{}, err
	}
	return None{}, c.triggers.DeleteCluster(ctx, who, id, in.Force)
}}

// operatorIn is the operator at work in an account, by its name.
func (c *core) operatorIn(ctx context.Context, account string) (iam.Caller, error) {
	a, err := iam.FindAccount(ctx, c.db, account)
	return iam.Operator().In(a), err
}

// clusterNamed finds a cluster by its name or id.
func (c *core) clusterNamed(ctx context.Context, in Named) (who iam.Caller, id string, err error) {
	if who, err = c.operatorIn(ctx, in.Account); err != nil {
		return who, "", err
	}
	list, err := c.triggers.Clusters(ctx, who)
	if err != nil {
		return who, "", err
	}
	for _, x := range list {
		if x.ID == in.Name || x.Name == in.Name {
			return who, x.ID, nil
		}
	}
	return who, "", fault.New(fault.RuleUnknown, "The account %s has no cluster %s.", who.AccountName, in.Name)
}

// ClusterManifest is what to paste into a cluster before it is added; with no
// namespaces it is for all. Errors: Invalid.
func ClusterManifest(namespaces []string) (manifest, tokenCommand string, err error) {
	return kube.Manifest(namespaces), kube.TokenCommand, trigger.CheckNamespaces(namespaces)
}

func cluster(x trigger.Cluster) Cluster {
	return Cluster{ID: x.ID, Name: x.Name, Server: x.Server, Namespaces: x.Namespaces, Marked: x.Marked, Version: x.Version, Error: x.Error, Checked: x.Checked, Created: x.Created}
}
