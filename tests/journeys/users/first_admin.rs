//! The first admin, whom an operator registers from a terminal.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_support::World;

use super::Stage;

const PASSWORD: &str = "a password of the operator's";

/// The tool as an operator runs it, and what it prints.
async fn create_admin(world: &World, password: Option<&str>, name: &str) -> Result<String> {
    let tool = world.command_api()?;
    let tool = match password {
        Some(password) => tool.setting("MILLRACE_ADMIN_PASSWORD", password),
        None => tool,
    };
    let email = format!("{name}@example.org");
    let ended =
        tool.run(&["create-admin", "--username", name, "--email", &email, "--if-missing"]).await?;
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    ensure!(ended.status.success(), "{told}{}", String::from_utf8_lossy(&ended.stderr));
    Ok(told)
}

#[tokio::test]
async fn an_operator_registers_an_admin_once_with_a_password_of_theirs_or_a_new_one() -> Result<()>
{
    let stage = Stage::set("users_first_admin").await?;
    let told = create_admin(&stage.world, Some(PASSWORD), "root").await?;
    ensure!(told.starts_with("admin root is registered as "), "{told}");
    ensure!(!told.contains("password"), "a password that is known is printed: {told}");
    let again = create_admin(&stage.world, Some(PASSWORD), "root").await?;
    ensure!(again.contains("nothing was changed"), "{again}");
    let made = create_admin(&stage.world, None, "other").await?;
    ensure!(made.contains("\npassword "), "{made}");
    let state = "SELECT state FROM {store}.streams WHERE stream_id = 'user-{id}'";
    let id = told.trim().rsplit(' ').next().unwrap_or_default();
    let state: Value =
        serde_json::from_str(&stage.world.text_of(&state.replace("{id}", id)).await?)?;
    let roles = state["roles"].as_array().context("no roles")?;
    ensure!(roles.contains(&json!("admin")), "{roles:?}");
    Ok(())
}
