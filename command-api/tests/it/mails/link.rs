//! The page that the mail's link leads to, for people and for programs that look through their mails.

use serde_json::json;

use super::{
    VERIFY, follow, is_verified, page, post, press, send_form, sent, shown, signed, token_to,
};
use crate::decision_world::World;
use crate::world::now;

#[tokio::test]
async fn whoever_follows_the_link_and_presses_the_button_has_shown_that_the_address_is_theirs() {
    let world = World::new().await;
    world.starts_to_send_mails();
    let ann = world.registered("ann").await;
    sent(&world, 1).await;
    let token = token_to(&world, "ann@example.org");
    let followed = follow(&world, &token).await;
    let (status, text) = page(&followed);
    assert_eq!(status, 200);
    for part in [
        "<form method=\"post\" action=\"verify-email\">",
        &format!("<input type=\"hidden\" name=\"token\" value=\"{token}\">"),
        "<button type=\"submit\">Verify my address</button>",
    ] {
        assert_eq!(text.matches(part).count(), 1, "{part} is not in {text}");
    }
    let pressed = press(&world, &token).await;
    assert!(matches!(page(&pressed), (200, text) if text.contains("is verified")), "{pressed:?}");
    assert_eq!(world.offset(pressed.header("consistency-token")), 2);
    assert_eq!(is_verified(&shown(&world, &ann).await), true);
    assert_eq!(page(&press(&world, &token).await).0, 200, "once more");
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3]);
}

#[tokio::test]
async fn a_program_that_follows_links_verifies_nothing() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let token = signed(&world, &ann, 1, now() + 60);
    for method in ["GET", "HEAD"] {
        let call = world.call(method, &format!("{VERIFY}?token={token}"));
        let answer = call.named("k1").send().await;
        assert_eq!(page(&answer).0, 200, "{method}");
    }
    assert_eq!(is_verified(&shown(&world, &ann).await), false);
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
    assert!(world.store.kept("anybody", "k1").await.is_none(), "it decided nothing");
    assert_eq!(post(&world, &token).await.status, 204);
}

#[tokio::test]
async fn a_form_says_the_token_and_nothing_else() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let token = signed(&world, &ann, 1, now() + 60);
    for form in [
        String::new(),
        format!("Token={token}"),
        format!("token={token}&token={token}"),
        format!("token={token}&user={}", ann.id),
        format!("<script>=&token={token}"),
        json!({"token": token}).to_string(),
    ] {
        let answer = send_form(&world, form.clone()).await;
        let (status, text) = page(&answer);
        assert!(status == 400 && text.contains("/token is required"), "{form}: {text}");
        assert!(!text.contains("<script"), "{text}");
    }
    let call = world.call("POST", VERIFY).saying_as("text/plain", format!("token={token}"));
    let answer = call.send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (415, "unsupported-media-type"));
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
}
