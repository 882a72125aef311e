//! Access tokens that a secret verifies, which whoever verifies them can write: the `dev` profile alone takes them.

use serde_json::json;

use super::{config, hs256, production, production_claims, verify};
use crate::{Unauthenticated, Verifier};

#[test]
fn the_dev_profile_alone_takes_hs256() {
    let header = json!({"alg": "HS256", "typ": "at+jwt"});
    let secret = "0123456789abcdef0123456789abcdef";
    for name in ["JWT_SECRET", "JWT_SECRET_KEY", "SECRET_KEY"] {
        let token = hs256(&header, &production_claims(), secret.as_bytes());
        let dev = config(&[("MILLRACE_PROFILE", "dev"), (name, secret)]).unwrap();
        assert!(verify(&Verifier::new(&dev), &token).is_ok(), "{name}");
        assert_eq!(verify(&production(), &token), Err(Unauthenticated::AlgorithmNotAllowed));
        let faults = config(&[(name, secret)]).unwrap_err();
        let [fault] = &faults[..] else { panic!("{faults:?}") };
        assert!(fault.starts_with(&format!("{name} must be absent")), "{fault}");
        assert!(fault.contains("MILLRACE_JWKS_URL") && !fault.contains(secret), "{fault}");
    }
}
