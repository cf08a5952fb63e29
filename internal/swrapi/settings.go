package swrapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

var settingsRoutes = []route{
	{method: http.MethodGet, pattern: "/v2/manage/settings", name: "ShowDomainSettings", do: iam.ShowSettings, handle: (*API).showSettings},
	{method: http.MethodPatch, pattern: "/v2/manage/settings", name: "UpdateDomainSettings", do: iam.UpdateSettings, handle: (*API).updateSettings},
}

// settings are what an account has chosen for its repositories.
type settings struct {
	UndeleteSeconds int64 `json:"undelete_seconds"`
	UndeleteDefault bool  `json:"undelete_default"` // the installation's, the account chose none
	RetentionGuard  bool  `json:"retention_guard"`
}

func settingsOf(s registry.Settings) settings {
	return settings{int64(s.Undelete / time.Second), !s.OwnUndelete, s.RetentionGuard}
}

func (a *API) showSettings(c *call) error {
	s, err := a.reg.Settings(c.r.Context(), c.who)
	if err != nil {
		return err
	}
	return c.ok(settingsOf(s))
}

// updateSettings leaves what is not in the body as it is; null is what the
// installation has.
func (a *API) updateSettings(c *call) error {
	var in struct {
		UndeleteSeconds json.RawMessage `json:"undelete_seconds"`
		RetentionGuard  *bool           `json:"retention_guard"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	p := registry.SettingsPatch{RetentionGuard: in.RetentionGuard}
	switch text := bytes.TrimSpace(in.UndeleteSeconds); {
	case len(text) == 0:
	case string(text) == "null":
		p.DefaultUndelete = true
	default:
		var seconds int64
		if err := json.Unmarshal(text, &seconds); err != nil || seconds < 0 || seconds > int64(registry.MaxUndelete/time.Second) {
			return fault.New(fault.Invalid, "undelete_seconds is a whole number from 0 to %d, or null for what the installation has.", int64(registry.MaxUndelete/time.Second))
		}
		d := time.Duration(seconds) * time.Second
		p.Undelete = &d
	}
	s, err := a.reg.ChangeSettings(c.r.Context(), c.who, p)
	if err != nil {
		return err
	}
	return c.ok(settingsOf(s))
}
