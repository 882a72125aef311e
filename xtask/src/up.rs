//! `make up`: the whole stack, a first event, what to try next, and a first admin.

use anyhow::Result;

use crate::stack::Stack;
use crate::{dev_token, first_admin, first_event};

/// Brings up what does not run, deploys what is missing, and shows that it works.
///
/// # Errors
/// Whatever does not come up, by name.
pub fn up(stack: &Stack) -> Result<()> {
    stack.up_infrastructure()?;
    stack.deploy()?;
    stack.up_services()?;
    let (url, token) = (stack.front_door(), dev_token::mint()?);
    let resource = first_event::travel(&url, &token)?;
    println!(
        "
a first event went in and came back: {resource}

  front door  {url}
  the API     {url}/api/v1/docs   (every operation, to be tried)
  all else    . {env}   (addresses, passwords, DEV_TOKEN, ADMIN_TOKEN)
  mails       {outbox}

try, in this directory:

  . {env}
  curl -s $MILLRACE_URL/events -H \"Authorization: Bearer $DEV_TOKEN\" -H 'Content-Type: application/json' \\
    -d '{{\"device_id\":\"device-123\",\"payload\":{{\"status\":\"ok\",\"temp_c\":21.5}}}}'
  curl -s $MILLRACE_URL/resource/device-123 -H \"Authorization: Bearer $DEV_TOKEN\"
  psql -U appuser -d appdb -c 'SELECT * FROM resources'
  {replayer} stats

a token for device-tester, good for a week:

{token}",
        env = stack.env_file().display(),
        replayer = stack.replayer().display(),
        outbox = stack.outbox().display(),
    );
    println!("\nthe first admin, who may let others be something:\n");
    match first_admin::register(stack) {
        Ok(said) => println!(
            "{said}\nwhoever was registered by this command has the password {password}",
            password = first_admin::PASSWORD
        ),
        // The stack is up, and the next `make up` tries again.
        Err(error) => println!("warning: nobody was registered: {error:#}"),
    }
    Ok(())
}
