// Prints the fields of Caddy's JSON, from its Go types: the table in src/dialect/caddy/gateway/fields.txt.
// In this folder's parent: go run -tags nobadger,nomysql,nopgx ./fields > ../../../src/dialect/caddy/gateway/fields.txt
package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/mholt/caddy-ratelimit"
)

const head = `// Fields of the JSON of Caddy 2.11.9 and of its module rate_limit 0.1.0, from their Go types (tests/servers/caddy/fields).
// A line is a type (#) or a module and its fields. Behind a field stands what its value is, if it is more than plain: #TYPE; *… each value of a map;
// %NAMESPACE a map of modules; @NAMESPACE/KEY a module whose name is its KEY. =… is the whole value of a module without fields.
`

var lines = map[string]string{}
var names = map[reflect.Type]string{}
var unmarshaler = reflect.TypeOf((*json.Unmarshaler)(nil)).Elem()

func custom(t reflect.Type) bool {
	return t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler)
}

// What stands behind a field: nothing for plain values, a type, or modules of a namespace.
func kind(t reflect.Type, tag string) string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		if custom(t) {
			break
		}
		if t == reflect.TypeOf(json.RawMessage{}) {
			break
		}
		t = t.Elem()
	}
	if tag != "" {
		var namespace, inline string
		for _, part := range strings.Fields(tag) {
			key, value, _ := strings.Cut(part, "=")
			switch key {
			case "namespace":
				namespace = value
			case "inline_key":
				inline = value
			}
		}
		if inline == "" {
			return "%" + namespace
		}
		each := ""
		if t.Kind() == reflect.Map {
			each = "*"
		}
		return each + "@" + namespace + "/" + inline
	}
	if t.Kind() == reflect.Map && !custom(t) {
		inner := kind(t.Elem(), "")
		if inner == "" {
			return ""
		}
		return "*" + inner
	}
	if t.Kind() == reflect.Struct && !custom(t) {
		return "#" + name(t)
	}
	return ""
}

func name(t reflect.Type) string {
	if known, ok := names[t]; ok {
		return known
	}
	own := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:] + "." + t.Name()
	own = strings.ReplaceAll(own, "v2.", "caddy.")
	if t.Name() == "" {
		own = fmt.Sprintf("unnamed.%d", len(names))
	}
	for other, known := range names {
		if known == own && other != t {
			own += "_"
		}
	}
	names[t] = own
	lines["#"+own] = strings.Join(fields(t), " ")
	return own
}

func fields(t reflect.Type) []string {
	var out []string
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		tag := field.Tag.Get("json")
		own, _, _ := strings.Cut(tag, ",")
		if own == "-" {
			continue
		}
		if field.Anonymous && own == "" {
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				out = append(out, fields(inner)...)
				continue
			}
		}
		if !field.IsExported() {
			continue
		}
		if own == "" {
			own = field.Name
		}
		out = append(out, own+kind(field.Type, field.Tag.Get("caddy")))
	}
	return out
}

func main() {
	name(reflect.TypeOf(caddy.Config{}))
	for _, id := range caddy.Modules() {
		info, err := caddy.GetModule(id)
		if err != nil {
			panic(err)
		}
		t := reflect.TypeOf(info.New())
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch {
		case strings.HasSuffix(string(id), ".not"):
			// It unmarshals itself, as sets of matchers.
			lines[id] = "=%" + strings.TrimSuffix(string(id), ".not")
		case custom(t):
			lines[id] = "="
		case t.Kind() == reflect.Struct:
			lines[id] = strings.Join(fields(t), " ")
		default:
			lines[id] = "=" + kind(t, "")
		}
	}
	var keys []string
	for key := range lines {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	fmt.Print(head)
	for _, key := range keys {
		fmt.Println(strings.TrimSpace(key + " " + lines[key]))
	}
}
