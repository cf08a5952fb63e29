package db

import (
	"database/sql/driver"
	"fmt"
	"reflect"
	"strconv"
	"sync"
)

// plans remembers, for each struct type that rows were read into, where its
// fields are.
type plans struct{ known sync.Map } // reflect.Type -> [][]int

// scan stores the row into *dst, whose type is a scalar, []byte or a struct
// that has one exported field for each column, in order. Embedded structs
// count by their fields.
func scan[T any](r *row, dst *T) error {
	if len(r.values) == 1 {
		switch d := any(dst).(type) {
		case *int64:
			if v, ok := r.values[0].(int64); ok {
				*d = v
				return nil
			}
		case *string:
			if v, ok := r.values[0].(string); ok {
				*d = v
				return nil
			}
		}
	}
	v := reflect.ValueOf(dst).Elem()
	if v.Kind() != reflect.Struct {
		if len(r.values) != 1 {
			return fmt.Errorf("%d columns into a %s", len(r.values), v.Type())
		}
		return store(v, r.values[0])
	}
	fields := r.plans.fields(v.Type())
	if len(fields) != len(r.values) {
		return fmt.Errorf("%d columns into the %d fields of %s", len(r.values), len(fields), v.Type())
	}
	for i, index := range fields {
		f := v.Field(index[0])
		if len(index) > 1 {
			f = v.FieldByIndex(index)
		}
		if err := store(f, r.values[i]); err != nil {
			return fmt.Errorf("column %d (%s): %w", i+1, v.Type().FieldByIndex(index).Name, err)
		}
	}
	return nil
}

// fields lists the paths of a struct's exported fields in order.
func (p *plans) fields(t reflect.Type) [][]int {
	if f, ok := p.known.Load(t); ok {
		return f.([][]int)
	}
	f := fieldsOf(t, nil)
	p.known.Store(t, f)
	return f
}

func fieldsOf(t reflect.Type, prefix []int) (out [][]int) {
	for i := range t.NumField() {
		f := t.Field(i)
		path := append(prefix[:len(prefix):len(prefix)], i)
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			out = append(out, fieldsOf(f.Type, path)...)
		case f.IsExported():
			out = append(out, path)
		}
	}
	return out
}

// store puts one column into a field. The engines differ in what they return
// for the same column: SQLite has no booleans, PostgreSQL sums BIGINT to a
// number that comes as text.
func store(dst reflect.Value, src driver.Value) error {
	if src == nil {
		if k := dst.Kind(); k != reflect.Pointer && k != reflect.Slice {
			return fmt.Errorf("NULL into a %s", dst.Type())
		}
		dst.SetZero()
		return nil
	}
	switch dst.Kind() {
	case reflect.String:
		switch v := src.(type) {
		case string:
			dst.SetString(v)
			return nil
		case []byte:
			dst.SetString(string(v))
			return nil
		}
	case reflect.Int64, reflect.Int, reflect.Int32, reflect.Int16, reflect.Int8:
		return storeInt(dst, src)
	case reflect.Bool:
		switch v := src.(type) {
		case bool:
			dst.SetBool(v)
			return nil
		case int64:
			dst.SetBool(v != 0)
			return nil
		}
	case reflect.Slice:
		if dst.Type().Elem().Kind() == reflect.Uint8 {
			return storeBytes(dst, src)
		}
	case reflect.Float64, reflect.Float32:
		switch v := src.(type) {
		case float64:
			dst.SetFloat(v)
			return nil
		case int64:
			dst.SetFloat(float64(v))
			return nil
		}
	case reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		return store(dst.Elem(), src)
	}
	return fmt.Errorf("%T into a %s", src, dst.Type())
}

func storeInt(dst reflect.Value, src driver.Value) error {
	var n int64
	switch v := src.(type) {
	case int64:
		n = v
	case bool:
		if v {
			n = 1
		}
	case string:
		var err error
		if n, err = strconv.ParseInt(v, 10, 64); err != nil {
			return fmt.Errorf("text into a %s", dst.Type())
		}
	default:
		return fmt.Errorf("%T into a %s", src, dst.Type())
	}
	if dst.OverflowInt(n) {
		return fmt.Errorf("%d overflows a %s", n, dst.Type())
	}
	dst.SetInt(n)
	return nil
}

// storeBytes keeps the driver's slice: both drivers return memory of its own.
func storeBytes(dst reflect.Value, src driver.Value) error {
	switch v := src.(type) {
	case []byte:
		if v == nil { // how the SQLite driver returns zero bytes; NULL is nil without a type
			v = []byte{}
		}
		dst.SetBytes(v)
		return nil
	case string:
		dst.SetBytes([]byte(v))
		return nil
	}
	return fmt.Errorf("%T into a %s", src, dst.Type())
}
