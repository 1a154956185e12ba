package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// router finds the route of a request. It knows no redirect: after one, Alertmanager would come again with GET and
// without a body, and take the answer for success.
type router struct {
	routes   []route
	segments [][]string // of each route's path
}

func newRouter(routes []route) *router {
	rt := &router{routes: routes}
	for _, r := range routes {
		rt.segments = append(rt.segments, strings.Split(strings.TrimPrefix(r.path, "/"), "/"))
	}
	return rt
}

// find gives the route, or the methods that the path would take; both are nothing when there is no such path. One
// trailing slash makes no difference; a path that is not clean is another path.
func (rt *router) find(method string, u *url.URL) (found *route, params map[string]string, allowed []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path := strings.TrimPrefix(u.EscapedPath(), "/")
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i := range rt.routes {
		values, ok := match(rt.segments[i], segments)
		if !ok {
			continue
		}
		if rt.routes[i].method == method {
			return &rt.routes[i], values, nil
		}
		allowed = append(allowed, rt.routes[i].method)
	}
	slices.Sort(allowed)
	return nil, nil, allowed
}

func match(pattern, segments []string) (map[string]string, bool) {
	if len(pattern) != len(segments) {
		return nil, false
	}
	var params map[string]string
	for i, p := range pattern {
		if !strings.HasPrefix(p, "{") {
			if p != segments[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" || value == "." || value == ".." {
			return nil, false
		}
		if params == nil {
			params = map[string]string{}
		}
		params[strings.Trim(p, "{}")] = value
	}
	return params, true
}
