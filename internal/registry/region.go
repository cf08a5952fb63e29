package registry

import (
	"context"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// A Region is a registry elsewhere that images are synchronized to.
type Region struct {
	Name     string
	URL      string // scheme and host; http only where the operator says so
	Type     RegionType
	Prefix   string // of its repositories, in front of the organization; "": none
	Username string // "": nobody logs in
	Password bool   // there is one; it is never shown
	CA       string // PEM of the authorities that sign its certificate; "": the system's
	Optional bool   // a rule may be made while it is out of reach
	Created  time.Time
	Updated  time.Time
}

// A RegionType says what kind of registry a region is.
type RegionType string

// The types. Repositories are named {prefix}/{organization}/{repository} in all of them.
const (
	RegionBerth RegionType = "berth"
	RegionOCI   RegionType = "oci" // any other registry
	RegionSWR   RegionType = "swr" // the cloud service; the username is project@AK, the password what it makes of the secret key
)

// RegionPatch changes the members that are not nil. All but PlainHTTP, which
// allows an address with http, are as in Region.
type RegionPatch struct {
	URL, Type, Prefix, Username, Password, CA *string
	Optional, PlainHTTP                       *bool
}

// MaxRegions bounds the regions of an installation.
const MaxRegions = 100

type regionRow struct {
	Name, URL, Type, Prefix, Username string
	Password                          []byte
	CA                                string
	Optional                          bool
	Created, Updated                  int64
}

const regionColumns = `name, url, type, prefix, username, password, ca, optional, created, updated`

func (v regionRow) region() Region {
	return Region{Name: v.Name, URL: v.URL, Type: RegionType(v.Type), Prefix: v.Prefix, Username: v.Username, Password: len(v.Password) > 0,
		CA: v.CA, Optional: v.Optional, Created: fromMicros(v.Created), Updated: fromMicros(v.Updated)}
}

func regionPurpose(name string) string { return "region:" + name }

func regionUnknown(name string) error {
	return fault.New(fault.RuleUnknown, "There is no region %s.", shown(name))
}

func regionByName(ctx context.Context, q db.Querier, name, lock string) (regionRow, error) {
	if !isLine(name, maxCluster) {
		return regionRow{}, regionUnknown(name)
	}
	return ruleOf[regionRow](ctx, q, regionUnknown(name), `SELECT `+regionColumns+` FROM region WHERE name = $1`+lock, name)
}

// AddRegion registers a region. Errors: Invalid, Exists, Denied, Unauthorized.
func (r *Registry) AddRegion(ctx context.Context, who iam.Caller, name string, p RegionPatch) error {
	if !validRegion(name) {
		return fault.New(fault.Invalid, "regionID is 1 to 64 lower-case letters, digits and hyphens, beginning with a letter, not %s.", shown(name))
	}
	return r.update(ctx, func(tx *db.Tx) error {
		if err := r.iam.Allow(tx, who, iam.CreateRegion, iam.Resource{Account: who.Account, Name: name}); err != nil {
			return err
		}
		v := regionRow{Name: name, Type: string(RegionBerth)}
		if err := r.patchRegion(&v, p); err != nil {
			return err
		}
		n, err := db.One[int](tx.Context(), tx, `SELECT count(*) FROM region`)
		if err != nil {
			return err
		}
		if n >= MaxRegions {
			return fault.New(fault.Invalid, "There are %d regions, which is as many as there may be.", n)
		}
		n64, err := tx.Exec(`INSERT INTO region (`+regionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT (name) DO NOTHING`,
			v.Name, v.URL, v.Type, v.Prefix, v.Username, nonNil(v.Password), v.CA, v.Optional, tx.Micros())
		if err != nil {
			return err
		}
		if n64 == 0 {
			return fault.New(fault.Exists, "The region %s is registered already.", name)
		}
		return r.iam.Audit(tx, who, iam.CreateRegion, name, "ok")
	})
}

// SetRegion changes a region. A password stays with the address that it was
// given for: another address needs it again.
// Errors: RuleUnknown, Invalid, Denied, Unauthorized.
func (r *Registry) SetRegion(ctx context.Context, who iam.Caller, name string, p RegionPatch) error {
	return r.update(ctx, func(tx *db.Tx) error {
		if err := r.iam.Allow(tx, who, iam.UpdateRegion, iam.Resource{Account: who.Account, Name: name}); err != nil {
			return err
		}
		v, err := regionByName(tx.Context(), tx, name, tx.ForUpdate())
		if err != nil {
			return err
		}
		before := v.URL
		if err := r.patchRegion(&v, p); err != nil {
			return err
		}
		if v.URL != before && len(v.Password) > 0 && p.Password == nil {
			return fault.New(fault.Invalid, "password has to be given again with another url.")
		}
		// What a client keeps of the region it keeps for this time: no two changes have the same.
		if _, err := tx.Exec(`UPDATE region SET url = $2, type = $3, prefix = $4, username = $5, password = $6, ca = $7, optional = $8,
				updated = CASE WHEN updated >= $9 THEN updated + 1 ELSE $9 END WHERE name = $1`,
			v.Name, v.URL, v.Type, v.Prefix, v.Username, nonNil(v.Password), v.CA, v.Optional, tx.Micros()); err != nil {
			return err
		}
		return r.iam.Audit(tx, who, iam.UpdateRegion, name, "ok")
	})
}

// DeleteRegion forgets a region. Rules to it stay and fail, until they are
// deleted or a region of the name is there again.
// Errors: RuleUnknown, Denied, Unauthorized.
func (r *Registry) DeleteRegion(ctx context.Context, who iam.Caller, name string) error {
	return r.update(ctx, func(tx *db.Tx) error {
		if err := r.iam.Allow(tx, who, iam.DeleteRegion, iam.Resource{Account: who.Account, Name: name}); err != nil {
			return err
		}
		if !isLine(name, maxCluster) {
			return regionUnknown(name)
		}
		n, err := tx.Exec(`DELETE FROM region WHERE name = $1`, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return regionUnknown(name)
		}
		return r.iam.Audit(tx, who, iam.DeleteRegion, name, "ok")
	})
}

// Region shows a region. Errors: RuleUnknown, Denied, Unauthorized.
func (r *Registry) Region(ctx context.Context, who iam.Caller, name string) (Region, error) {
	if err := r.iam.Check(ctx, who, iam.ShowRegion, iam.Resource{Account: who.Account, Name: name}); err != nil {
		return Region{}, err
	}
	v, err := regionByName(ctx, r.db, name, "")
	return v.region(), err
}

// Regions lists all regions by name. Errors: Denied, Unauthorized.
func (r *Registry) Regions(ctx context.Context, who iam.Caller) ([]Region, error) {
	if err := r.iam.Check(ctx, who, iam.ShowRegion, iam.Resource{Account: who.Account}); err != nil {
		return nil, err
	}
	rows, err := db.All[regionRow](ctx, r.db, `SELECT `+regionColumns+` FROM region ORDER BY name LIMIT $1`, MaxRegions)
	list := make([]Region, len(rows))
	for i, v := range rows {
		list[i] = v.region()
	}
	return list, err
}

// RegionNames lists where images can be synchronized to.
// Errors: Denied, Unauthorized.
func (r *Registry) RegionNames(ctx context.Context, who iam.Caller) ([]string, error) {
	if err := r.iam.Check(ctx, who, iam.ShowSync, iam.Resource{Account: who.Account}); err != nil {
		return nil, err
	}
	return regionNames(ctx, r.db)
}

func regionNames(ctx context.Context, q db.Querier) ([]string, error) {
	return db.All[string](ctx, q, `SELECT name FROM region ORDER BY name LIMIT $1`, MaxRegions)
}

// RegionLogin is a region with its password, for whoever goes there: system
// callers alone. Errors: RuleUnknown, Denied.
func (r *Registry) RegionLogin(ctx context.Context, who iam.Caller, name string) (Region, string, error) {
	if err := systemOnly(who); err != nil {
		return Region{}, "", err
	}
	v, err := regionByName(ctx, r.db, name, "")
	if err != nil || len(v.Password) == 0 {
		return v.region(), "", err
	}
	password, err := r.iam.Unseal(regionPurpose(name), v.Password)
	return v.region(), string(password), err
}

// systemOnly refuses everybody but Berth itself and the operator.
func systemOnly(who iam.Caller) error {
	if !who.System() {
		return fault.New(fault.Denied, "This is for Berth itself.")
	}
	return nil
}

// checkRegion tells whether images can go to a region, within the transaction
// that says so or outside of one.
func checkRegion(ctx context.Context, q db.Querier, name string) error {
	names, err := regionNames(ctx, q)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n == name {
			return nil
		}
	}
	if len(names) == 0 {
		return fault.New(fault.Invalid, "remoteRegionId names a region that nothing can be synchronized to: this installation has no other regions.")
	}
	return fault.New(fault.Invalid, "remoteRegionId names a region that nothing can be synchronized to; there is %s.", strings.Join(names, ", "))
}
