//! How whoever guesses passwords is held back, and nobody else.

use std::time::Duration;

use command_api::password::Scheme;
use command_api::throttle::KNOWN_FOR;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{login, saying, told};
use crate::decision_world::{Call, Setup, World, eventually};
use crate::world::Answer;

const HERE: &str = "198.51.100.7";
const ELSEWHERE: &str = "203.0.113.9";

/// One in which a guess costs little.
async fn world() -> World {
    World::of(Setup { scheme: Scheme::Bcrypt { rounds: 4 }, ..Setup::default() }).await
}

fn guess(world: &World, name: &str) -> Call {
    saying(world, &json!({"username": name, "password": "wrong horse"})).from(HERE)
}

/// Fails so often that the next attempt has to wait.
async fn fail(world: &World, name: &str, times: usize) {
    for _ in 0..times {
        let answer = guess(world, name).send().await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
}

fn wait(answer: &Answer) -> Option<u64> {
    (answer.status == 429).then(|| {
        assert_eq!(answer.problem(), "too-many-attempts");
        answer.header("retry-after").parse().unwrap()
    })
}

#[tokio::test]
async fn after_three_failures_the_next_attempt_waits_also_with_the_right_password() {
    let world = world().await;
    world.registered("ann").await;
    fail(&world, "ann", 3).await;
    for call in [guess(&world, "ann"), login(&world, "ann").from(HERE)] {
        assert_eq!(wait(&call.send().await), Some(1));
    }
    assert_eq!(world.failures.counted(), 3, "what is not tried is no failure");
    world.failures.pass(Duration::from_secs(1));
    assert_eq!(login(&world, "ann").from(HERE).send().await.status, 200);
}

#[tokio::test]
async fn waits_double_and_are_the_same_for_names_that_nobody_has() {
    let world = world().await;
    world.registered("ann").await;
    let mut told_of = Vec::new();
    for name in ["ann", "nobody"] {
        let mut answers = Vec::new();
        fail(&world, name, 2).await;
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            fail(&world, name, 1).await;
            let answer = guess(&world, name).send().await;
            assert_eq!(wait(&answer), Some(seconds), "{name}");
            answers.push(told(&answer));
            world.failures.pass(Duration::from_secs(seconds));
        }
        told_of.push(answers);
    }
    assert_eq!(told_of[0], told_of[1]);
}

#[tokio::test]
async fn nobody_is_held_back_by_who_fails_elsewhere_or_under_another_name() {
    let world = world().await;
    world.registered("ann").await;
    world.registered("bob").await;
    fail(&world, "ann", 3).await;
    assert_eq!(login(&world, "ann").from(ELSEWHERE).send().await.status, 200);
    assert_eq!(login(&world, "bob").from(HERE).send().await.status, 200);
    // Nor does it help whoever guesses that somebody came in elsewhere.
    assert_eq!(wait(&guess(&world, "ann").send().await), Some(1));
}

#[tokio::test]
async fn who_comes_in_begins_anew() {
    let world = world().await;
    world.registered("ann").await;
    for _ in 0..3 {
        fail(&world, "ann", 2).await;
        assert_eq!(login(&world, "ann").from(HERE).send().await.status, 200);
    }
    fail(&world, "ann", 3).await;
}

#[tokio::test]
async fn failures_are_forgotten_after_an_hour() {
    let world = world().await;
    world.registered("ann").await;
    fail(&world, "ann", 3).await;
    world.failures.pass(Duration::from_secs(3_600));
    fail(&world, "ann", 3).await;
    assert_eq!(wait(&guess(&world, "ann").send().await), Some(1));
}

#[tokio::test]
async fn whoever_tries_many_names_from_one_address_is_held_back_there_alone() {
    let world = world().await;
    world.registered("ann").await;
    for n in 0..50 {
        fail(&world, &format!("name-{n}"), 1).await;
    }
    assert_eq!(wait(&guess(&world, "another").send().await), Some(1));
    assert_eq!(wait(&login(&world, "ann").from(HERE).send().await), Some(1));
    assert_eq!(login(&world, "ann").from(ELSEWHERE).send().await.status, 200);
    world.failures.pass(Duration::from_secs(1));
    assert_eq!(login(&world, "ann").from(HERE).send().await.status, 200);
    // That one came in says nothing of the others.
    fail(&world, "another", 1).await;
    assert_eq!(wait(&guess(&world, "one more").send().await), Some(2));
}

#[tokio::test]
async fn who_has_come_in_from_an_address_is_held_back_there_by_their_own_failures_alone() {
    let world = world().await;
    world.registered("ann").await;
    world.registered("bob").await;
    assert_eq!(login(&world, "ann").from(HERE).send().await.status, 200);
    let fill = async || {
        for n in 0..50 {
            fail(&world, &format!("name-{n}"), 1).await;
        }
    };
    fill().await;
    assert_eq!(wait(&login(&world, "bob").from(HERE).send().await), Some(1));
    assert_eq!(login(&world, "ann").from(HERE).send().await.status, 200);
    for call in [guess(&world, "ann"), guess(&world, "ann"), guess(&world, "ann")] {
        assert_eq!(wait(&call.send().await), Some(1));
    }
    assert_eq!(world.failures.counted(), 53);
    assert_eq!(wait(&login(&world, "ann").from(HERE).send().await), Some(1));
    // After a month nobody knows it any more.
    world.failures.pass(KNOWN_FOR);
    fill().await;
    assert_eq!(wait(&login(&world, "ann").from(HERE).send().await), Some(1));
}

#[tokio::test]
async fn where_strangers_wait_a_wrong_password_does_not_tell_who_comes_in_there() {
    let world = world().await;
    world.registered("ann").await;
    assert_eq!(login(&world, "ann").from(HERE).send().await.status, 200);
    for n in 0..50 {
        fail(&world, &format!("name-{n}"), 1).await;
    }
    for seconds in [1, 2, 4, 8] {
        world.failures.pass(Duration::from_secs(seconds));
        fail(&world, &format!("after-{seconds}"), 1).await;
    }
    let counted = world.failures.counted();
    let of_nobody = guess(&world, "nobody").send().await;
    assert_eq!(wait(&of_nobody), Some(16));
    for n in 1..=3 {
        let of_ann = guess(&world, "ann").send().await;
        assert_eq!(told(&of_ann), told(&of_nobody));
        assert_eq!(world.failures.counted(), counted + n, "it is a failure");
        assert_eq!(told(&guess(&world, "nobody").send().await), told(&of_nobody));
    }
    // From then on their own failures hold them back, and they are told no less than strangers.
    assert_eq!(told(&login(&world, "ann").from(HERE).send().await), told(&of_nobody));
    assert_eq!(world.failures.counted(), counted + 3);
    world.failures.pass(Duration::from_secs(1));
    assert_eq!(login(&world, "ann").from(HERE).send().await.status, 200);
}

#[tokio::test]
async fn many_who_guess_together_are_held_back_for_a_while_and_not_where_somebody_is_known() {
    let world = world().await;
    world.registered("ann").await;
    assert_eq!(login(&world, "ann").from(ELSEWHERE).send().await.status, 200);
    for n in 0..100 {
        let answer = guess(&world, "ann").from(&format!("192.0.2.{n}")).send().await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    assert_eq!(wait(&login(&world, "ann").from(HERE).send().await), Some(1));
    assert_eq!(wait(&guess(&world, "nobody").send().await), None);
    assert_eq!(login(&world, "ann").from(ELSEWHERE).send().await.status, 200);
    world.failures.pass(Duration::from_secs(1));
    assert_eq!(login(&world, "ann").from(HERE).send().await.status, 200);
}

#[tokio::test]
async fn networks_of_one_site_are_held_back_together() {
    let world = world().await;
    world.registered("ann").await;
    for n in 0..50 {
        let call = guess(&world, &format!("name-{n}")).from(&format!("2001:db8:1:{n}::1"));
        assert_eq!(call.send().await.status, 401);
    }
    let from = |address| login(&world, "ann").from(address).send();
    assert_eq!(wait(&from("2001:db8:1:ffff::1").await), Some(1));
    assert_eq!(from("2001:db8:2:ffff::1").await.status, 200);
}

#[tokio::test]
async fn addresses_of_one_network_are_one() {
    let world = world().await;
    world.registered("ann").await;
    for n in 1..=3 {
        let address = format!("2001:db8:1:2::{n}");
        assert_eq!(guess(&world, "ann").from(&address).send().await.status, 401);
    }
    let from = |address| guess(&world, "ann").from(address).send();
    assert_eq!(wait(&from("2001:db8:1:2:ffff::1").await), Some(1));
    assert_eq!(from("2001:db8:1:3::1").await.status, 401);
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_tried_than_one_after_another() {
    let world = world().await;
    world.registered("ann").await;
    let mut racing = JoinSet::new();
    for _ in 0..40 {
        racing.spawn(guess(&world, "ann").send());
    }
    let answers = racing.join_all().await;
    let tried = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!((tried, world.failures.counted()), (3, 3));
    assert!(answers.iter().all(|answer| answer.status == 401 || wait(answer).is_some()));
}

#[tokio::test]
async fn of_many_guesses_at_once_where_somebody_came_in_few_more_are_tried() {
    let world = world().await;
    world.registered("ann").await;
    assert_eq!(login(&world, "ann").from(HERE).send().await.status, 200);
    let mut racing = JoinSet::new();
    for _ in 0..40 {
        racing.spawn(guess(&world, "ann").send());
    }
    let answers = racing.join_all().await;
    let tried = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(tried, world.failures.counted());
    // Three that cost nothing, and two that were under way beside the third.
    assert!((3..=5).contains(&tried), "{tried} were tried");
}

#[tokio::test]
async fn of_many_who_guess_together_one_is_tried_each_time_that_the_wait_is_over() {
    let world = world().await;
    let ann = world.registered("ann").await;
    for n in 0..100 {
        let answer = guess(&world, "ann").from(&format!("192.0.2.{n}")).send().await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    // Whether they log in or say the password that they want to have another one for.
    let by_token = |address: &str| {
        let body = json!({"current_password": "wrong horse", "new_password": "battery staple"});
        let call = world.call("PUT", &ann.path("/password")).by(&ann.claims());
        call.saying(&body).from(address)
    };
    for round in 0..3 {
        world.failures.pass(Duration::from_secs(1_u64 << round));
        let counted = world.failures.counted();
        let mut racing = JoinSet::new();
        for n in 0..20 {
            racing.spawn(guess(&world, "ann").from(&format!("198.51.100.{n}")).send());
            racing.spawn(by_token(&format!("203.0.113.{n}")).send());
        }
        let answers = racing.join_all().await;
        let held_back = answers.iter().filter(|answer| wait(answer).is_some()).count();
        assert_eq!((held_back, world.failures.counted()), (39, counted + 1), "round {round}");
    }
}

#[tokio::test]
async fn whoever_hangs_up_before_they_are_answered_has_failed_all_the_same() {
    // A hash takes far longer than they wait.
    let scheme = Scheme::Bcrypt { rounds: 12 };
    let world = World::of(Setup { scheme, ..Setup::default() }).await;
    eventually("a failure of whoever hung up is counted", async || {
        let hung_up = timeout(Duration::from_millis(5), guess(&world, "nobody").send()).await;
        assert!(hung_up.is_err(), "they were answered");
        world.failures.counted() > 0
    })
    .await;
}

#[tokio::test]
async fn while_failures_cannot_be_counted_nobody_comes_in() {
    let world = world().await;
    world.registered("ann").await;
    world.failures.is_away(true);
    for call in [guess(&world, "ann"), login(&world, "ann"), login(&world, "nobody")] {
        let answer = call.send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (503, "database-unavailable"));
        assert_eq!(answer.header("retry-after"), "1");
    }
    world.failures.is_away(false);
    assert_eq!(login(&world, "ann").send().await.status, 200);
}
