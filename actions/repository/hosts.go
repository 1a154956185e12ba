package repository

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// github is the REST API of GitHub. Its list takes a head only with the owner before it, and lists everything when it does
// not understand one: what it gives is looked at again.
var github = host{
	root:   "https://api.github.com",
	header: http.Header{"Accept": {"application/vnd.github+json"}, "X-Github-Api-Version": {"2022-11-28"}},
	list: func(project, head, base string) string {
		owner, _, _ := strings.Cut(project, "/")
		return "/repos/" + project + "/pulls?" + url.Values{"state": {"all"}, "head": {owner + ":" + head}, "base": {base}, "per_page": {"50"}}.Encode()
	},
	create: func(project string) string { return "/repos/" + project + "/pulls" },
	check:  func(project string) string { return "/repos/" + project },
	body: func(r PullRequest) map[string]any {
		return map[string]any{"title": r.Title, "head": r.Head, "base": r.Base, "body": r.Body}
	},
	read: readGitHub,
}

func readGitHub(answer []byte, project, head, base string) ([]Pull, error) {
	var listed []struct {
		Number   int     `json:"number"`
		URL      string  `json:"html_url"`
		State    string  `json:"state"`
		MergedAt *string `json:"merged_at"`
		Merge    string  `json:"merge_commit_sha"`
		Head     struct {
			Ref  string `json:"ref"`
			Repo struct {
				Name string `json:"full_name"`
			} `json:"repo"`
		} `json:"head"`
		Base struct {
			Ref string `json:"ref"`
		} `json:"base"`
	}
	if err := json.Unmarshal(answer, &listed); err != nil {
		return nil, err
	}
	var all []Pull
	for _, l := range listed {
		if l.Head.Ref != head || l.Base.Ref != base || !strings.EqualFold(l.Head.Repo.Name, project) {
			continue
		}
		pull := Pull{Number: l.Number, URL: pullURL(l.URL), State: l.State}
		if l.MergedAt != nil {
			pull.State, pull.Merge = "merged", l.Merge
		}
		all = append(all, pull)
	}
	return all, nil
}

// gitlab is the REST API of GitLab, version 4.
var gitlab = host{
	root:   "https://gitlab.com/api/v4",
	header: http.Header{"Accept": {"application/json"}},
	list: func(project, head, base string) string {
		return "/projects/" + url.PathEscape(project) + "/merge_requests?" + url.Values{"state": {"all"}, "source_branch": {head}, "target_branch": {base}, "per_page": {"50"}}.Encode()
	},
	create: func(project string) string { return "/projects/" + url.PathEscape(project) + "/merge_requests" },
	check:  func(project string) string { return "/projects/" + url.PathEscape(project) },
	body: func(r PullRequest) map[string]any {
		return map[string]any{"title": r.Title, "source_branch": r.Head, "target_branch": r.Base, "description": r.Body, "remove_source_branch": true}
	},
	read: readGitLab,
}

func readGitLab(answer []byte, _, head, base string) ([]Pull, error) {
	var listed []struct {
		Number int    `json:"iid"`
		URL    string `json:"web_url"`
		State  string `json:"state"`
		Source string `json:"source_branch"`
		Target string `json:"target_branch"`
		From   int    `json:"source_project_id"`
		To     int    `json:"target_project_id"`
		Merge  string `json:"merge_commit_sha"`
		Squash string `json:"squash_commit_sha"`
	}
	if err := json.Unmarshal(answer, &listed); err != nil {
		return nil, err
	}
	var all []Pull
	for _, l := range listed {
		if l.Source != head || l.Target != base || l.From != l.To {
			continue
		}
		pull := Pull{Number: l.Number, URL: pullURL(l.URL), State: l.State}
		switch l.State {
		case "opened", "locked":
			pull.State = "open"
		case "merged":
			pull.Merge = l.Merge
			if pull.Merge == "" {
				pull.Merge = l.Squash
			}
		}
		all = append(all, pull)
	}
	return all, nil
}
