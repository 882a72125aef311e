//! Who may write and read, asked of the real processes.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use test_support::{Caller, Running, World, event_body};

/// The key pair of RFC 8037, appendix A.
const PRIVATE_KEY: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const PUBLIC_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// Both sides, which take HS256 of the `dev` profile and EdDSA of one key.
async fn both_sides(world: &World) -> Result<(Running, Running)> {
    let jwks = world.dir().join("jwks.json");
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": PUBLIC_KEY, "use": "sig"});
    std::fs::write(&jwks, json!({"keys": [key]}).to_string()).context("writing the key set")?;
    let command_api = world.command_api()?.setting("MILLRACE_JWKS_PATH", jwks.display());
    let query_api = world.query_api()?.setting("MILLRACE_JWKS_PATH", jwks.display());
    let (command_api, query_api) = tokio::try_join!(command_api.start(), query_api.start())?;
    tokio::try_join!(command_api.ready(), query_api.ready())?;
    Ok((command_api, query_api))
}

/// Name, token, and what both sides answer to it.
fn refused(world: &World) -> Result<Vec<(&'static str, String, u16)>> {
    let tester = world.token();
    let public_bytes = URL_SAFE_NO_PAD.decode(PUBLIC_KEY)?;
    let none = |alg: &str| tester.forged(&json!({"alg": alg, "typ": "JWT"}), "");
    let signed = tester.sign()?;
    let (content, signature) = signed.rsplit_once('.').context("a token without a signature")?;
    let stolen =
        tester.clone().roles(&["admin"]).forged(&json!({"alg": "HS256", "typ": "JWT"}), signature);
    Ok(vec![
        ("none at all", String::new(), 401),
        ("no token", "nonsense".to_owned(), 401),
        ("expired", tester.clone().expired(3600).sign()?, 401),
        ("another secret", tester.sign_with("another-secret")?, 401),
        ("alg none", none("none"), 401),
        ("alg None", none("None"), 401),
        ("alg NONE", none("NONE"), 401),
        ("alg nOnE", none("nOnE"), 401),
        ("alg none with a signature", tester.forged(&json!({"alg": "none"}), signature), 401),
        ("no signature", format!("{content}."), 401),
        ("another token's signature", stolen, 401),
        ("HS256 with the public key's bytes", tester.sign_with(&public_bytes)?, 401),
        ("HS256 with the public key's text", tester.sign_with(PUBLIC_KEY)?, 401),
        (
            "RS256 without a key",
            tester.forged(&json!({"alg": "RS256", "typ": "JWT"}), signature),
            401,
        ),
        ("a key that is not known", tester.sign_eddsa(PRIVATE_KEY, "two")?, 401),
        ("another key", tester.sign_eddsa(PUBLIC_KEY, "one")?, 401),
        ("another audience", tester.clone().claim("aud", "elsewhere").sign()?, 401),
        ("another issuer", tester.clone().claim("iss", "elsewhere").sign()?, 401),
        ("not valid yet", tester.clone().claim("nbf", 4_000_000_000_u64).sign()?, 401),
        ("no subject", tester.clone().claim("sub", "").sign()?, 401),
        ("no role", tester.clone().roles(&[]).sign()?, 403),
        ("another role", tester.clone().roles(&["analyst"]).sign()?, 403),
        ("another device", tester.device("device-2").sign()?, 403),
    ])
}

#[tokio::test]
async fn whoever_has_no_right_to_it_changes_and_sees_nothing() -> Result<()> {
    let world = World::start("access").await?;
    let (command_api, query_api) = both_sides(&world).await?;
    let tester = world.token();
    for (name, token) in [
        ("HS256", tester.sign()?),
        ("EdDSA", tester.sign_eddsa(PRIVATE_KEY, "one")?),
        ("the right audience", tester.clone().claim("aud", "millrace").sign()?),
        ("its own device", tester.clone().device("device-1").sign()?),
        ("an admin", tester.clone().roles(&["admin"]).sign()?),
    ] {
        let caller = Caller::new(&command_api, &query_api, &token)?;
        let posted = caller.report("device-1", "1").await?;
        ensure!(posted.status == 202, "{name} is refused: {posted}");
        // The projector does not run, so there is nothing to see; but the caller may look.
        let read = caller.read("device-1").await?;
        ensure!(read.status == 404, "{name} is refused: {read}");
    }
    let log = world.log()?;
    let ends = log.ends().await?;

    for (name, token, status) in refused(&world)? {
        let caller = Caller::new(&command_api, &query_api, &token)?;
        let problem = if status == 401 { "unauthenticated" } else { "forbidden" };
        for answer in [caller.report("device-1", "1").await?, caller.read("device-1").await?] {
            ensure!(answer.status == status, "{name} was answered {answer}");
            ensure!(answer.problem() == problem, "{name} was answered {answer}");
            let challenge =
                answer.header("www-authenticate").is_some_and(|h| h.starts_with("Bearer"));
            ensure!(status != 401 || challenge, "{name}: a 401 without a challenge");
        }
    }
    let client = test_support::Client::new()?;
    let bare = client
        .request("POST", &command_api.url("/api/v1/events"))?
        .header("content-type", "application/json")
        .body(event_body("device-1", "1"));
    ensure!(client.send(bare).await?.status == 401, "no Authorization at all is taken");
    ensure!(log.ends().await? == ends, "something of a refused caller is in the log");
    Ok(())
}
