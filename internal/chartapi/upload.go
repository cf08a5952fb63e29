package chartapi

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/web"
)

// saved is ChartMuseum's answer to an upload.
type saved struct {
	Saved bool `json:"saved"`
}

// maxParts bounds the parts of a form, of which two are looked at.
const maxParts = 20

// upload takes an archive: as the body, or as the field chart of a form, with
// the provenance file in the field prov.
func (a *API) upload(c *call) error {
	if err := a.reg.MayPushCharts(c.r.Context(), c.who, c.path["group"]); err != nil {
		return err
	}
	release, err := a.charts.Hold(c.r.Context())
	if err != nil {
		return err
	}
	defer release()
	archive, provenance, err := a.files(c)
	if err != nil {
		return err
	}
	if len(archive) == 0 {
		if provenance == nil {
			return fault.New(fault.Missing, "No chart was sent: send it as the body, or as the field chart of a form.")
		}
		err = a.charts.AddProvenance(c.r.Context(), c.who, c.path["group"], provenance, c.force())
	} else {
		_, err = a.charts.Upload(c.r.Context(), c.who, c.path["group"], archive, provenance, c.force())
	}
	if err != nil {
		return err
	}
	web.WriteJSON(c.w, http.StatusCreated, saved{true})
	return nil
}

// provenance takes a provenance file for a version that is there: as the body,
// or as the field prov of a form.
func (a *API) provenance(c *call) error {
	if err := a.reg.MayPushCharts(c.r.Context(), c.who, c.path["group"]); err != nil {
		return err
	}
	var b []byte
	var err error
	if form, e := c.form(); e != nil {
		return e
	} else if form != nil {
		_, b, err = c.parts(form, 0)
	} else {
		b, err = web.ReadBody(c.r, helm.MaxProvenance)
	}
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return fault.New(fault.Missing, "No provenance file was sent: send it as the body, or as the field prov of a form.")
	}
	if err := a.charts.AddProvenance(c.r.Context(), c.who, c.path["group"], b, c.force()); err != nil {
		return err
	}
	web.WriteJSON(c.w, http.StatusCreated, saved{true})
	return nil
}

// force reads ?force, which the plugin sends without a value.
func (c *call) force() bool {
	v, there := c.r.URL.Query()["force"]
	return there && v[0] != "false" && v[0] != "0"
}

func (a *API) files(c *call) (archive, provenance []byte, err error) {
	form, err := c.form()
	if err != nil {
		return nil, nil, err
	}
	if form != nil {
		return c.parts(form, a.reg.MaxChart())
	}
	archive, err = web.ReadBody(c.r, a.reg.MaxChart())
	return archive, nil, err
}

// form returns a reader of the body's parts where it is a form, else nil.
func (c *call) form() (*multipart.Reader, error) {
	media, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" {
		return nil, nil
	}
	if params["boundary"] == "" {
		return nil, fault.New(fault.Invalid, "The Content-Type of the form names no boundary.")
	}
	return multipart.NewReader(c.r.Body, params["boundary"]), nil
}

// parts reads the fields chart and prov. Others are passed over.
func (c *call) parts(form *multipart.Reader, most int64) (archive, provenance []byte, err error) {
	for range maxParts {
		p, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return archive, provenance, nil
		}
		if err != nil {
			return nil, nil, c.badForm(err)
		}
		switch name := p.FormName(); {
		case name == "chart" && archive == nil && most > 0:
			archive, err = c.part(p, most)
		case name == "prov" && provenance == nil:
			provenance, err = c.part(p, helm.MaxProvenance)
		case name == "chart" && most > 0, name == "prov":
			err = fault.New(fault.Invalid, "The form has the field %s twice.", name)
		default:
			_, err = c.part(p, most+helm.MaxProvenance)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fault.New(fault.Invalid, "The form has more than %d parts.", maxParts)
}

func (c *call) part(p *multipart.Part, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(p, most+1))
	switch {
	case err != nil:
		return nil, c.badForm(err)
	case int64(len(b)) > most:
		return nil, fault.New(fault.TooLarge, "The field %s is larger than %d bytes.", p.FormName(), most)
	case b == nil:
		b = []byte{}
	}
	return b, nil
}

// badForm tells a form that is malformed from a connection that broke.
func (c *call) badForm(err error) error {
	if f := web.Of(c.w).BodyFailed(); f != nil {
		return f
	}
	return fault.Wrap(fault.Invalid, err, "The form is malformed.")
}
