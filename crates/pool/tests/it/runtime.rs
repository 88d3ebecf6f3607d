//! What is done outside of a runtime, where no task can begin.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt;
use rustle_pool::{ErrorKind, Pool};

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap()
}

#[test]
fn building_a_pool_outside_of_a_runtime_panics_and_wrong_limits_are_told_before() {
    let panic = catch_unwind(|| Pool::builder().build()).unwrap_err();
    assert!(said(&*panic).contains("Tokio 1.x runtime"), "{}", said(&*panic));
    let error = Pool::builder().attempts(0).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
}

#[test]
fn asking_for_results_outside_of_a_runtime_panics_and_the_pool_is_none_the_worse() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pool = runtime.block_on(async { Pool::builder().only_registered().build().unwrap() });
    let mut results = pool.on(["web"]).output("true");
    let panic = catch_unwind(AssertUnwindSafe(|| results.next().now_or_never())).unwrap_err();
    assert!(said(&*panic).contains("Tokio 1.x runtime"), "{}", said(&*panic));
    // Of no host there is nothing to begin.
    let mut none = pool.on(Vec::<String>::new()).output("true");
    assert!(none.next().now_or_never().unwrap().is_none());
    drop((results, none));
    runtime.block_on(async {
        let result = pool.on(["web"]).output("true").next().await.unwrap();
        assert_eq!(result.outcome.unwrap_err().kind(), ErrorKind::UnknownHost);
        pool.shutdown(Duration::from_secs(5)).await;
    });
}
