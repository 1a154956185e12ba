package plan

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/rules/expr"
)

func said(text string) expr.Part    { return expr.Part{Text: text} }
func own(text string) expr.Part     { return expr.Part{Text: text, Value: true, Trusted: true} }
func strange(text string) expr.Part { return expr.Part{Text: text, Value: true} }

func TestPromQLValuesStayInsideQuotes(t *testing.T) {
	for _, c := range []struct {
		parts []expr.Part
		want  string
	}{
		{[]expr.Part{said(`up{a="`), strange(`x"} or up{b="`), said(`"}`)}, `up{a="x\x22} or up{b=\x22"}`},
		{[]expr.Part{said(`up{a='`), strange(`x'\`), said(`'}`)}, `up{a='x\x27\\'}`},
		{[]expr.Part{said(`up{a="`), strange("x\n.*"), said(`"}`)}, `up{a="x\n.*"}`},
		{[]expr.Part{said(`up{a=~"`), strange(`.*`), said(`"}`)}, `up{a=~"\\.\\*"}`},
		{[]expr.Part{said(`up{a !~ "`), strange(`a|b`), said(`"}`)}, `up{a !~ "a\\|b"}`},
		{[]expr.Part{said("up{a=~`x`,b=`"), own(`.*"`), said("`}")}, "up{a=~`x`,b=`.*\"`}"},
		{[]expr.Part{said(`up{a=~"`), own(`web-.*`), said(`"}`)}, `up{a=~"web-.*"}`},
		{[]expr.Part{said(`rate(up[`), own(`5m`), said(`])`)}, `rate(up[5m])`},
		{[]expr.Part{own(`up{a="`), strange(`"`), said(`"}`)}, `up{a="\x22"}`},
		{[]expr.Part{said(`up{a="\"`), strange(`"`), said(`"}`)}, `up{a="\"\x22"}`},
	} {
		got, err := escape(asPromQL, c.parts)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
}

func TestPromQLRefusesWhatQuotesCannotHold(t *testing.T) {
	for _, parts := range [][]expr.Part{
		{said(`up > `), strange(`0 or vector(1)`)},
		{said("up # \"\n"), strange(`x`)},
		{said(`up # "`), strange(`x`)},
		{said("up{a=`"), strange("x`} or up{b=`"), said("`}")},
		{said(`up{a="x"} > `), strange(`1`)},
	} {
		_, err := escape(asPromQL, parts)
		require.Error(t, err)
	}
}

func TestAnAddressKeepsItsHostAndPlace(t *testing.T) {
	for _, c := range []struct {
		parts []expr.Part
		want  string
	}{
		{[]expr.Part{said("http://h/api/"), strange("a/../b?c=d#e&f"), said("/x")}, "http://h/api/a%2F..%2Fb%3Fc%3Dd%23e%26f/x"},
		{[]expr.Part{own("http://blue:8080"), said("/x?y="), strange("1&z=2")}, "http://blue:8080/x?y=1%26z%3D2"},
		{[]expr.Part{own("http://blue:8080"), own("/a b")}, "http://blue:8080%2Fa%20b"},
		{[]expr.Part{said("http://h/"), own("a/b")}, "http://h/a%2Fb"},
	} {
		got, err := escape(asURL, c.parts)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	for _, parts := range [][]expr.Part{
		{strange("http://evil/")},
		{said("http://"), strange("evil"), said("/x")},
		{said("http://h"), strange(".evil"), said("/x")},
		{own("http://h"), strange(":81")},
		{said("http://u:"), strange("x"), said("@h/")},
		{said("http://h/a/"), strange(".."), said("/x")},
		{said("http://h/a/."), strange("."), said("/x")},
		{said("http://h/a/%2e"), strange("."), said("/x")},
		{said("http://h/a/"), strange("")},
		{strange("http"), said("://h/")},
	} {
		_, err := escape(asURL, parts)
		require.Error(t, err, "%v", parts)
	}
}

func TestAnArgumentIsNeverAnOption(t *testing.T) {
	got, err := escape(asArg, []expr.Part{said("--service="), strange("a b; $(rm -rf /)")})
	require.NoError(t, err)
	require.Equal(t, "--service=a b; $(rm -rf /)", got)
	for _, parts := range [][]expr.Part{
		{strange("--exec=sh")},
		{own(""), strange("-x")},
		{strange("-"), said("x")},
		{said("a"), strange("\x00")},
		{said("--selector="), strange("")},
	} {
		_, err := escape(asArg, parts)
		require.Error(t, err, "%v", parts)
	}
	got, err = escape(asArg, []expr.Part{own("-n")})
	require.NoError(t, err)
	require.Equal(t, "-n", got)
}

func TestTextShowsWhatItHides(t *testing.T) {
	got, err := escape(asText, []expr.Part{said("a\nb "), strange("c\nd\x1b[31m\u202e\u2028é👩\u200d🚒")})
	require.NoError(t, err)
	require.Equal(t, "a\nb c\\nd\\x1b[31m\\u202e\\u2028é👩\u200d🚒", got)
}

func FuzzEscapeURL(f *testing.F) {
	f.Add("a/../b")
	f.Add("..")
	f.Add("%2e%2e/@evil:80?#\\")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := escape(asURL, []expr.Part{said("http://h:1/a/"), strange(s), said("/b?c="), strange(s)})
		if err != nil {
			return
		}
		u, err := url.Parse(got)
		require.NoError(t, err)
		require.Equal(t, "h:1", u.Host)
		require.Equal(t, "/a/"+s+"/b", u.Path)
		require.Equal(t, s, u.Query().Get("c"))
		require.Equal(t, 1, strings.Count(got, "?"))
	})
}
