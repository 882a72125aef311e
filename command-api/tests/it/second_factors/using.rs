//! Coming in with a code: each is good once, and whoever guesses waits.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::{LOGIN, PASSWORD, enrolled, log_in, told, with_code, without_code, world};

/// Where nobody else comes from.
fn address(n: usize) -> String {
    format!("198.51.100.{n}")
}

#[tokio::test]
async fn of_two_who_say_one_code_at_once_to_two_processes_one_comes_in() {
    let world = world().await;
    let (_ann, handed_out) = enrolled(&world, "ann").await;
    for code in [handed_out.code(1), handed_out.recovery_codes[3].clone()] {
        let body = with_code("ann", &code);
        let other = world.call_other("POST", LOGIN).saying(&body).send();
        let (one, other) = tokio::join!(log_in(&world, &body).send(), other);
        let (refused, status) =
            if one.status == 200 { (other, one.status) } else { (one, other.status) };
        assert_eq!(status, 200, "{refused:?}");
        assert_eq!(told(&refused), (401, "invalid-second-factor"));
        assert_eq!(refused.errors(), [("/code", "second-factor")]);
    }
}

#[tokio::test]
async fn a_recovery_code_lets_in_once_however_it_is_written() {
    let world = world().await;
    let (_ann, handed_out) = enrolled(&world, "ann").await;
    let [one, other, ..] = &handed_out.recovery_codes[..] else { panic!("{handed_out:?}") };
    let written = other.to_ascii_uppercase().replace('-', " ");
    for code in [one, &written] {
        assert_eq!(log_in(&world, &with_code("ann", code)).send().await.status, 200, "{code}");
        let again = log_in(&world, &with_code("ann", code)).send().await;
        assert_eq!(told(&again), (401, "invalid-second-factor"), "{code}");
    }
    // Those of somebody else are none.
    let (_bob, of_bob) = enrolled(&world, "bob").await;
    let stranger = log_in(&world, &with_code("ann", &of_bob.recovery_codes[0])).send().await;
    assert_eq!(told(&stranger), (401, "invalid-second-factor"));
}

#[tokio::test]
async fn only_who_knows_the_password_learns_that_there_is_a_second_factor() {
    let world = world().await;
    let (_ann, handed_out) = enrolled(&world, "ann").await;
    world.registered("bob").await;
    let mut refused = Vec::new();
    for (n, body) in [
        json!({"username": "ann", "password": "wrong horse"}),
        json!({"username": "ann", "password": "wrong horse", "code": handed_out.recovery_codes[0]}),
        json!({"username": "bob", "password": "wrong horse"}),
        json!({"username": "nobody", "password": PASSWORD, "code": "287082"}),
    ]
    .iter()
    .enumerate()
    {
        let answer = log_in(&world, body).from(&address(n + 1)).send().await;
        assert_eq!(told(&answer), (401, "login-failed"), "{body}");
        refused.push(answer.body);
    }
    assert!(refused.iter().all(|body| *body == refused[0]), "{refused:?}");
    // A code that nobody asks for is none of our business; and none was used up.
    assert_eq!(log_in(&world, &with_code("bob", "x")).send().await.status, 200);
    let code = &handed_out.recovery_codes[0];
    assert_eq!(log_in(&world, &with_code("ann", code)).send().await.status, 200);
}

#[tokio::test]
async fn whoever_guesses_codes_waits_wherever_they_come_from() {
    let world = world().await;
    let (_ann, handed_out) = enrolled(&world, "ann").await;
    let counted = world.failures.counted();
    for n in 1..=3 {
        let answer = log_in(&world, &with_code("ann", "12345")).from(&address(n)).send().await;
        assert_eq!(told(&answer), (401, "invalid-second-factor"));
    }
    assert_eq!(world.failures.counted(), counted + 3);
    let right = || log_in(&world, &with_code("ann", &handed_out.recovery_codes[0]));
    let waits = right().from(&address(4)).send().await;
    assert_eq!(told(&waits), (429, "too-many-attempts"));
    assert_eq!(waits.header("retry-after"), "1");
    // Others are in nobody's way, and who enters no code fails with none.
    world.registered("bob").await;
    assert_eq!(log_in(&world, &without_code("bob")).from(&address(4)).send().await.status, 200);
    let asked = log_in(&world, &without_code("ann")).from(&address(4)).send().await;
    assert_eq!(told(&asked), (401, "second-factor-required"));
    world.failures.pass(Duration::from_secs(1));
    assert_eq!(right().from(&address(4)).send().await.status, 200);
    // That somebody has come in forgets one: whoever guesses beside them does not begin anew by it.
    let wrong = || log_in(&world, &with_code("ann", "12345")).from(&address(5));
    assert_eq!(told(&wrong().send().await), (401, "invalid-second-factor"));
    assert_eq!(told(&wrong().send().await), (429, "too-many-attempts"));
}

#[tokio::test]
async fn an_hour_without_a_wrong_code_forgets_one() {
    let world = world().await;
    enrolled(&world, "ann").await;
    let wrong = || log_in(&world, &with_code("ann", "12345")).send();
    for _ in 0..3 {
        assert_eq!(told(&wrong().await), (401, "invalid-second-factor"));
    }
    for _ in 0..2 {
        world.failures.pass(Duration::from_secs(3_600));
        assert_eq!(told(&wrong().await), (401, "invalid-second-factor"));
        assert_eq!(told(&wrong().await), (429, "too-many-attempts"));
    }
    world.failures.pass(Duration::from_secs(3 * 3_600));
    for _ in 0..3 {
        assert_eq!(told(&wrong().await), (401, "invalid-second-factor"));
    }
}

#[tokio::test]
async fn of_many_codes_at_once_no_more_are_tried_than_one_after_another() {
    let world = world().await;
    enrolled(&world, "ann").await;
    let mut racing = JoinSet::new();
    for n in 1..=40 {
        racing.spawn(log_in(&world, &with_code("ann", "12345")).from(&address(n)).send());
    }
    let answers = racing.join_all().await;
    let tried = answers.iter().filter(|it| told(it) == (401, "invalid-second-factor")).count();
    let held_back = answers.iter().filter(|it| told(it) == (429, "too-many-attempts")).count();
    assert_eq!((tried, held_back), (3, 37));
}

#[tokio::test]
async fn who_knows_the_password_and_has_no_code_clears_no_failures() {
    let world = world().await;
    let (_ann, handed_out) = enrolled(&world, "ann").await;
    let wrong = json!({"username": "ann", "password": "wrong horse"});
    for _ in 0..2 {
        assert_eq!(log_in(&world, &wrong).send().await.status, 401);
    }
    assert_eq!(
        told(&log_in(&world, &without_code("ann")).send().await).1,
        "second-factor-required"
    );
    let refused = log_in(&world, &with_code("ann", "12345")).send().await;
    assert_eq!(told(&refused).1, "invalid-second-factor");
    assert_eq!(told(&log_in(&world, &wrong).send().await).1, "login-failed");
    let code = &handed_out.recovery_codes[0];
    assert_eq!(told(&log_in(&world, &with_code("ann", code)).send().await).0, 429);
}

#[tokio::test]
async fn while_failures_cannot_be_counted_no_code_is_tried() {
    let world = world().await;
    let (_ann, handed_out) = enrolled(&world, "ann").await;
    world.failures.is_away(true);
    let body = with_code("ann", &handed_out.recovery_codes[0]);
    assert_eq!(told(&log_in(&world, &body).send().await), (503, "database-unavailable"));
    world.failures.is_away(false);
    assert_eq!(log_in(&world, &body).send().await.status, 200, "it was not used up");
}

#[tokio::test]
async fn oauth_clients_send_the_code_in_their_form() {
    let world = world().await;
    let (_ann, handed_out) = enrolled(&world, "ann").await;
    let form = |otp: &str| {
        let body = format!("grant_type=password&username=ann&password=correct+horse{otp}");
        let call = world.call("POST", "/api/v1/auth/token");
        call.saying_as("application/x-www-form-urlencoded", body).send()
    };
    for (otp, rule) in [("", "required"), ("&otp=", "required"), ("&otp=12345", "second-factor")] {
        let answer = form(otp).await;
        assert_eq!(told(&answer), (400, "invalid-grant"), "{otp}");
        assert_eq!(answer.body["error"], "invalid_grant");
        assert_eq!(answer.errors(), [("/otp", rule)], "{otp}");
    }
    let answer = form(&format!("&otp={}", handed_out.recovery_codes[0])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
