package registry

import (
	"context"
	"encoding/json"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// Referrers lists the manifests whose subject is d, by digest, those behind
// after; with artifactType only those of that type. The subject need not exist,
// nor the repository: there are none then (distribution-spec, Listing Referrers).
// Errors: Denied, Unauthorized.
func (r *Registry) Referrers(ctx context.Context, who iam.Caller, name oci.Name, d oci.Digest, artifactType, after string, n int) (Page[Referrer], error) {
	rp, err := r.lookup(ctx, who, name, iam.Pull)
	if fault.Is(err, fault.RepoUnknown) {
		return Page[Referrer]{Items: []Referrer{}}, nil
	}
	if err != nil {
		return Page[Referrer]{}, err
	}
	n = clampPage(n)
	type row struct {
		MediaType, Digest         string
		Size                      int64
		ArtifactType, Annotations string
	}
	query := `SELECT media_type, digest, size, artifact_type, annotations FROM manifest
		WHERE repository = $1 AND subject = $2 AND subject <> '' AND digest > $3 AND deleted IS NULL`
	args := []any{rp.ID, string(d), after, n + 1}
	if artifactType != "" {
		query += ` AND artifact_type = $5`
		args = append(args, artifactType)
	}
	rows, err := db.All[row](ctx, r.db, query+` ORDER BY digest LIMIT $4`, args...)
	if err != nil {
		return Page[Referrer]{}, err
	}
	list := make([]Referrer, len(rows))
	for i, m := range rows {
		list[i] = Referrer{MediaType: m.MediaType, Digest: oci.Digest(m.Digest), Size: m.Size, ArtifactType: m.ArtifactType}
		if m.Annotations != "" {
			list[i].Annotations = json.RawMessage(m.Annotations)
		}
	}
	return page(list, n), nil
}
