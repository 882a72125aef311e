//! Answers of a router where no handler is.

use axum::http::Method;
use axum::response::{IntoResponse, Response};

use crate::{Problem, ProblemType};

/// The router's fallback: 404.
pub async fn not_found() -> Problem {
    Problem::new(ProblemType::NotFound, "no resource has this path")
}

/// The router's method fallback: 405. The router itself adds `Allow`.
pub async fn method_not_allowed(method: Method) -> Response {
    let detail = format!("this path does not take {method}; `Allow` names what it takes");
    Problem::new(ProblemType::MethodNotAllowed, detail).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::header::{ALLOW, CONTENT_TYPE};
    use axum::http::{Request, StatusCode};
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: &str, path: &str) -> Response {
        let router: Router = Router::new()
            .route("/here", get(|| async {}))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed);
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn an_unknown_path_is_a_problem() {
        let response = ask("GET", "/there").await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }

    #[tokio::test]
    async fn an_unknown_method_is_a_problem_that_names_the_known_ones() {
        let response = ask("DELETE", "/here").await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[ALLOW], "GET,HEAD");
    }
}
