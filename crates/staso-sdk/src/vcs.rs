//! Which commit runs, as the environment tells it: our own variables, else those of the known CI systems.

/// The commit that root spans carry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vcs {
    /// The commit.
    pub commit_sha: String,
    /// The branch.
    pub branch: Option<String>,
    /// The repository, without credentials.
    pub repo_url: Option<String>,
    /// Whether the working tree has changes; `None` where nobody looked.
    pub is_dirty: Option<bool>,
}

/// Where each tells commit, branch and repository; `{NAME}` in a template is another variable.
const TOLD: &[[&str; 3]] = &[
    [crate::env::VCS_COMMIT_SHA, crate::env::VCS_BRANCH, crate::env::VCS_REPO_URL],
    ["GITHUB_SHA", "GITHUB_REF_NAME", "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}"],
    ["CI_COMMIT_SHA", "CI_COMMIT_REF_NAME", "CI_PROJECT_URL"],
    ["CIRCLE_SHA1", "CIRCLE_BRANCH", "CIRCLE_REPOSITORY_URL"],
    ["VERCEL_GIT_COMMIT_SHA", "VERCEL_GIT_COMMIT_REF", "VERCEL_GIT_REPO_SLUG"],
    ["COMMIT_REF", "BRANCH", "REPOSITORY_URL"],
    ["BUILD_SOURCEVERSION", "BUILD_SOURCEBRANCHNAME", "BUILD_REPOSITORY_URI"],
    ["BITBUCKET_COMMIT", "BITBUCKET_BRANCH", "BITBUCKET_GIT_HTTP_ORIGIN"],
    [
        "CODEBUILD_RESOLVED_SOURCE_VERSION",
        "CODEBUILD_WEBHOOK_HEAD_REF",
        "CODEBUILD_SOURCE_REPO_URL",
    ],
    ["RAILWAY_GIT_COMMIT_SHA", "RAILWAY_GIT_BRANCH", "RAILWAY_GIT_REPO_NAME"],
    ["HEROKU_SLUG_COMMIT", "HEROKU_BRANCH", ""],
];

impl Vcs {
    /// What the environment tells; `None` where it names no commit.
    pub(crate) fn from_environment(get: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let get = |name: &str| get(name).filter(|text| !text.is_empty());
        TOLD.iter().find_map(|[sha, branch, url]| {
            let repo_url = expanded(url, &get).map(|url| Self::public(&url));
            Some(Self { commit_sha: get(sha)?, branch: get(branch), repo_url, is_dirty: None })
        })
    }

    /// An address without credentials: a token in a remote's URL must not travel.
    pub(crate) fn public(url: &str) -> String {
        let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        format!("{scheme}://{host}{path}")
    }

    /// What there is as text, by the name of its attribute.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let texts = [
            ("vcs.commit.sha", Some(&self.commit_sha)),
            ("vcs.branch", self.branch.as_ref()),
            ("vcs.repo_url", self.repo_url.as_ref()),
        ];
        texts.into_iter().filter_map(|(name, text)| Some((name, text?.as_str())))
    }
}

/// A variable, or a template of which every variable is set.
fn expanded(template: &str, get: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if !template.contains('{') {
        return get(template);
    }
    let mut parts = template.split(['{', '}']);
    let mut out = parts.next()?.to_owned();
    while let Some(name) = parts.next() {
        out.push_str(&get(name)?);
        out.push_str(parts.next().unwrap_or_default());
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(env: &[(&str, &str)]) -> Option<Vcs> {
        Vcs::from_environment(&|name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn our_own_variables_win_over_those_of_a_ci() {
        let ours =
            [("GITHUB_SHA", "b"), ("STASO_VCS_COMMIT_SHA", "a"), ("STASO_VCS_BRANCH", "main")];
        let vcs = told(&ours).unwrap();
        assert_eq!(
            (vcs.commit_sha.as_str(), vcs.branch.as_deref(), vcs.repo_url),
            ("a", Some("main"), None)
        );
        assert_eq!(told(&[("STASO_VCS_BRANCH", "main"), ("STASO_VCS_COMMIT_SHA", "")]), None);
    }

    #[test]
    fn a_template_needs_all_of_its_variables() {
        let github =
            [("GITHUB_SHA", "b"), ("GITHUB_SERVER_URL", "https://h"), ("GITHUB_REPOSITORY", "o/r")];
        assert_eq!(told(&github).unwrap().repo_url.as_deref(), Some("https://h/o/r"));
        assert_eq!(told(&github[..2]).unwrap().repo_url, None);
    }

    #[test]
    fn a_token_in_an_address_does_not_travel() {
        for (url, public) in [
            ("https://user:token@host/o/r.git", "https://host/o/r.git"),
            ("https://to@ken@host", "https://host"),
            ("https://host/a@b", "https://host/a@b"),
            ("git@host:o/r.git", "git@host:o/r.git"),
            ("ssh://git@host/o/r", "ssh://host/o/r"),
        ] {
            assert_eq!(Vcs::public(url), public);
        }
    }
}
