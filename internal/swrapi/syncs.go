package swrapi

import (
	"net/http"
	"strconv"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

const (
	syncRepoPath   = "/v2/manage/namespaces/{namespace}/repos/{repository}/sync_repo"
	syncImagesPath = "/v2/manage/namespaces/{namespace}/repos/{repository}/sync_images"
	syncDiffPath   = syncRepoPath + "/differences"
	syncTidyPath   = syncRepoPath + "/reconcile"
	syncJobPath    = "/v2/manage/namespaces/{namespace}/repos/{repository}/sync_job"
)

var syncRoutes = []route{
	{method: http.MethodPost, pattern: syncRepoPath, name: "CreateImageSyncRepo", do: iam.CreateSync, about: aSync, handle: (*API).createSync},
	{method: http.MethodGet, pattern: syncRepoPath, name: "ListImageAutoSyncReposDetails", do: iam.ListSyncs, about: aSync, handle: (*API).listSyncs},
	{method: http.MethodDelete, pattern: syncRepoPath, name: "DeleteImageSyncRepo", do: iam.DeleteSync, about: aSync, handle: (*API).deleteSync},
	{method: http.MethodGet, pattern: syncDiffPath, name: "ShowSyncDifferences", do: iam.ListSyncs, about: aSync, handle: (*API).showDifferences},
	{method: http.MethodPost, pattern: syncTidyPath, name: "ReconcileSync", do: iam.SyncNow, about: aSync, handle: (*API).reconcileSync},
	{method: http.MethodPost, pattern: syncImagesPath, name: "CreateManualImageSyncRepo", do: iam.SyncNow, about: aSync, handle: (*API).syncNow},
	{method: http.MethodGet, pattern: syncJobPath, name: "ShowSyncJob", do: iam.ShowSync, about: aSync, handle: (*API).listSyncJobs},
}

// syncRequest is what all requests about synchronization say. Its members and
// those of the answers are in camelCase, unlike anywhere else.
type syncRequest struct {
	ImageTag        []string `json:"imageTag"`
	RemoteRegionID  string   `json:"remoteRegionId"`
	RemoteNamespace string   `json:"remoteNamespace"`
	SyncAuto        *bool    `json:"syncAuto"` // default true
	Override        bool     `json:"override"`
	Backfill        bool     `json:"backfill"` // our own: also what is there already
}

func (s syncRequest) target() registry.SyncTarget {
	return registry.SyncTarget{Region: s.RemoteRegionID, Organization: s.RemoteNamespace}
}

// synced is what a synchronization and its jobs have in common.
type synced struct {
	ID              int64  `json:"id"`
	CreatedAt       stamp  `json:"createdAt"`
	UpdatedAt       stamp  `json:"updatedAt"`
	DomainID        string `json:"domainID"`
	DomainName      string `json:"domainName"`
	Namespace       string `json:"namespace"`
	RepoName        string `json:"repoName"`
	RemoteRegionID  string `json:"remoteRegionId"`
	RemoteNamespace string `json:"remoteNamespace"`
	Override        bool   `json:"override"`
}

type syncRepo struct {
	synced
	SyncAuto bool `json:"syncAuto"`
}

type syncJob struct {
	synced
	Status           string `json:"status"`
	Tag              string `json:"tag"`
	Detail           string `json:"detail"` // our own: what there is to say of the status
	SyncOperatorID   string `json:"syncOperatorId"`
	SyncOperatorName string `json:"syncOperatorName"`
}

// to is synced with what the request knows: the repository, which is of the
// caller's account.
func (c *call) to(t registry.SyncTarget) synced {
	return synced{DomainID: c.who.Account, DomainName: c.who.AccountName, Namespace: c.org, RepoName: c.repo.Repository(),
		RemoteRegionID: t.Region, RemoteNamespace: t.Organization}
}

func (a *API) createSync(c *call) error {
	var in syncRequest
	if err := c.decode(&in); err != nil {
		return err
	}
	s := registry.Sync{SyncTarget: in.target(), Auto: in.SyncAuto == nil || *in.SyncAuto, Override: in.Override, Backfill: in.Backfill}
	if err := a.mirror.CreateSync(c.r.Context(), c.who, c.repo, s); err != nil {
		return err
	}
	return c.ok(empty{})
}

func (a *API) listSyncs(c *call) error {
	list, err := a.reg.Syncs(c.r.Context(), c.who, c.repo)
	if err != nil {
		return err
	}
	out := make([]syncRepo, len(list))
	for i, s := range list {
		out[i] = syncRepo{c.to(s.SyncTarget), s.Auto}
		out[i].ID, out[i].Override = s.ID, s.Override
		out[i].CreatedAt, out[i].UpdatedAt = stamp(s.Created), stamp(s.Updated)
	}
	return c.ok(out)
}

func (a *API) deleteSync(c *call) error {
	var in syncRequest
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.RemoteRegionID == "" {
		return missing("remoteRegionId")
	}
	if in.RemoteNamespace == "" {
		return missing("remoteNamespace")
	}
	if err := a.reg.DeleteSync(c.r.Context(), c.who, c.repo, in.target()); err != nil {
		return err
	}
	return c.ok(empty{})
}

// syncNow answers with the ids of the jobs: some array clients must have.
func (a *API) syncNow(c *call) error {
	var in syncRequest
	if err := c.decode(&in); err != nil {
		return err
	}
	ids, err := a.reg.SyncNow(c.r.Context(), c.who, c.repo, in.ImageTag, in.target(), in.Override)
	if err != nil {
		return err
	}
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = strconv.FormatInt(id, 10)
	}
	return c.ok(out)
}

func (a *API) listSyncJobs(c *call) error {
	l, err := c.history()
	if err != nil {
		return err
	}
	jobs, total, err := a.reg.SyncJobs(c.r.Context(), c.who, c.repo, l.offset, l.limit)
	if err != nil {
		return err
	}
	out := make([]syncJob, len(jobs))
	for i, j := range jobs {
		out[i] = syncJob{c.to(j.SyncTarget), string(j.Status), j.Tag, j.Detail, j.Operator, j.OperatorName}
		out[i].ID, out[i].Override = j.ID, j.Override
		out[i].CreatedAt, out[i].UpdatedAt = stamp(j.Created), stamp(j.Updated)
	}
	if l.paged {
		c.contentRange(l.offset, len(jobs), total)
	}
	return c.ok(out)
}
